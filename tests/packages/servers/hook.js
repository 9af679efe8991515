// An install script that looks around, as hostile ones do, and writes down what it found.
'use strict'
const fs = require('fs')
const net = require('net')
const { canary, outside, port } = require('./targets.json')

const report = { ran: true }
const attempt = (name, doing) => {
  try { doing(); report[name] = 'works' } catch (error) { report[name] = error.code ?? String(error) }
}
attempt('canary', () => fs.readFileSync(canary))
attempt('outside', () => fs.writeFileSync(outside, 'written by an install script'))
report.token = Object.entries(process.env).some(([, value]) => value.includes('fixture-secret')) ? 'works' : 'none'

const socket = net.connect(port, '127.0.0.1')
const end = outcome => {
  report.connect = outcome
  fs.writeFileSync('report.json', JSON.stringify(report))
  process.exit(0)
}
socket.on('connect', () => end('works'))
socket.on('error', error => end(error.code ?? String(error)))
