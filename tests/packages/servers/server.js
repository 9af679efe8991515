#!/usr/bin/env node
// A small MCP server for tests. It does what it is told with files, connections and variables, and says how that went.
'use strict'
const fs = require('fs')
const net = require('net')
const path = require('path')
const { name, version, wants = [] } = require('./package.json')

const text = { type: 'string' }
const tool = (name, description, properties = {}) => ({
  name,
  description,
  inputSchema: { type: 'object', properties, required: Object.keys(properties) }
})
const tools = [
  tool('about', version.startsWith('1.') ? 'Says what runs here.' : 'Says what runs here, and since when.'),
  tool('read', 'Reads a file.', { path: text }),
  tool('write', 'Writes a file.', { path: text, text }),
  tool('connect', 'Connects to a port of this machine.', { port: { type: 'integer' } }),
  tool('variable', 'Says the value of a variable.', { name: text })
]
if (!version.startsWith('1.')) tools.push(tool('list', 'Lists a directory.', { path: text }))

// the version of each package that this one wants, and null for one that is not there
function parts () {
  const found = {}
  for (const part of wants) {
    try { found[part] = require(part).version } catch { found[part] = null }
  }
  return found
}

const doings = {
  about: () => JSON.stringify({ name, version, program: path.basename(process.argv[1]), arguments: process.argv.slice(2), parts: parts(), place: __dirname }),
  read: ({ path }) => fs.readFileSync(path, 'utf8'),
  write: ({ path, text }) => { fs.writeFileSync(path, text); return 'written' },
  connect: ({ port }) => new Promise((resolve, reject) => {
    const socket = net.connect(port, '127.0.0.1', () => { socket.destroy(); resolve('connected') })
    socket.on('error', reject)
  }),
  variable: ({ name }) => process.env[name] ?? '(none)',
  list: ({ path }) => fs.readdirSync(path).join('\n')
}

async function call ({ name, arguments: given }) {
  try {
    return { content: [{ type: 'text', text: await doings[name](given ?? {}) }] }
  } catch (error) {
    return { isError: true, content: [{ type: 'text', text: String(error.code ?? error) }] }
  }
}

async function result (method, params) {
  switch (method) {
    case 'initialize': return { protocolVersion: params.protocolVersion, capabilities: { tools: {} }, serverInfo: { name, version } }
    case 'ping': return {}
    case 'tools/list': return { tools }
    case 'tools/call': return await call(params)
  }
}

require('readline').createInterface({ input: process.stdin }).on('line', async line => {
  const { id, method, params } = JSON.parse(line)
  if (id === undefined) return
  const answer = await result(method, params)
  const outcome = answer ? { result: answer } : { error: { code: -32601, message: 'no such method' } }
  process.stdout.write(JSON.stringify({ jsonrpc: '2.0', id, ...outcome }) + '\n')
})
