//! The formats of providers' secrets, as data.

/// Characters that a secret is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Alphabet {
    /// 0-9, A-Z, a-z.
    Base62,
    /// Base62 and `_`, `-`.
    Url,
    /// Base62 and `_`, `-`, `.`.
    Dotted,
    /// Base62 and `+`, `/`, `=`.
    Base64,
    /// 0-9, a-f.
    Hex,
    /// A-Z, 2-7.
    Base32,
    /// A-Z, 0-9.
    Upper,
}

impl Alphabet {
    /// Whether the byte can stand in such a secret.
    pub(super) fn has(self, byte: u8) -> bool {
        match self {
            Alphabet::Base62 => byte.is_ascii_alphanumeric(),
            Alphabet::Url => byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'),
            Alphabet::Dotted => byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'),
            Alphabet::Base64 => byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'='),
            Alphabet::Hex => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
            Alphabet::Base32 => matches!(byte, b'A'..=b'Z' | b'2'..=b'7'),
            Alphabet::Upper => byte.is_ascii_uppercase() || byte.is_ascii_digit(),
        }
    }
}

/// What else tells a secret from a string of the same shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Proof {
    /// Prefix and length are all there is.
    Shape,
    /// The last six characters are the CRC-32 of the rest, in base 62 with leading zeros.
    Crc62,
    /// A text stands within it.
    Holds(&'static str),
}

/// One provider's secret: a prefix, then characters of an alphabet.
#[derive(Debug)]
pub(super) struct Provider {
    /// What it is, with its article.
    pub(super) name: &'static str,
    pub(super) prefix: &'static str,
    pub(super) alphabet: Alphabet,
    /// Characters after the prefix.
    pub(super) least: usize,
    pub(super) most: usize,
    pub(super) proof: Proof,
}

const fn provider(name: &'static str, prefix: &'static str, alphabet: Alphabet, least: usize, most: usize) -> Provider {
    Provider { name, prefix, alphabet, least, most, proof: Proof::Shape }
}

impl Provider {
    const fn proved(mut self, proof: Proof) -> Provider {
        self.proof = proof;
        self
    }
}

use Alphabet::{Base32, Base62, Base64, Dotted, Hex, Upper, Url};

/// Formats that the providers document or that their tokens have had for years. Sources: the providers' own
/// documentation of token formats, as named by their prefixes.
pub(super) const PROVIDERS: &[Provider] = &[
    provider("a GitHub personal access token", "ghp_", Base62, 36, 36).proved(Proof::Crc62),
    provider("a GitHub OAuth token", "gho_", Base62, 36, 36).proved(Proof::Crc62),
    provider("a GitHub user token", "ghu_", Base62, 36, 36).proved(Proof::Crc62),
    provider("a GitHub server token", "ghs_", Base62, 36, 36).proved(Proof::Crc62),
    provider("a GitHub refresh token", "ghr_", Base62, 36, 76).proved(Proof::Crc62),
    provider("a GitHub fine-grained token", "github_pat_", Url, 82, 82),
    provider("a GitLab personal access token", "glpat-", Dotted, 20, 60),
    provider("a GitLab deploy token", "gldt-", Url, 20, 60),
    provider("a GitLab runner token", "glrt-", Dotted, 20, 60),
    provider("a GitLab job token", "glcbt-", Dotted, 20, 80),
    provider("a GitLab SCIM token", "glsoat-", Dotted, 20, 60),
    provider("a GitLab incoming mail token", "glimt-", Dotted, 20, 60),
    provider("a GitLab feature flag token", "glffct-", Dotted, 20, 60),
    provider("a GitLab feed token", "glft-", Dotted, 20, 60),
    provider("a GitLab trigger token", "glptt-", Dotted, 20, 60),
    provider("a GitLab OAuth secret", "gloas-", Dotted, 40, 80),
    provider("an npm token", "npm_", Base62, 36, 36),
    provider("a PyPI token", "pypi-", Url, 80, 400).proved(Proof::Holds("AgE")),
    provider("a crates.io token", "cio", Base62, 32, 32),
    provider("a RubyGems token", "rubygems_", Hex, 48, 48),
    provider("a Docker Hub token", "dckr_pat_", Url, 27, 27),
    provider("an AWS access key", "AKIA", Base32, 16, 16),
    provider("a temporary AWS access key", "ASIA", Base32, 16, 16),
    provider("an Anthropic key", "sk-ant-", Url, 80, 160),
    provider("an OpenAI project key", "sk-proj-", Url, 40, 200),
    provider("an OpenAI service account key", "sk-svcacct-", Url, 40, 200),
    provider("an OpenAI key", "sk-", Base62, 48, 48).proved(Proof::Holds("T3BlbkFJ")),
    provider("an OpenRouter key", "sk-or-v1-", Hex, 64, 64),
    provider("a Hugging Face token", "hf_", Base62, 34, 40),
    provider("a Groq key", "gsk_", Base62, 52, 52),
    provider("an xAI key", "xai-", Base62, 80, 80),
    provider("a Perplexity key", "pplx-", Base62, 48, 48),
    provider("a Replicate token", "r8_", Base62, 37, 37),
    provider("a Tavily key", "tvly-", Url, 32, 48),
    provider("a Firecrawl key", "fc-", Hex, 32, 32),
    provider("a LangSmith key", "lsv2_pt_", Url, 40, 50),
    provider("a Google API key", "AIza", Url, 35, 35),
    provider("a Google OAuth secret", "GOCSPX-", Url, 28, 28),
    provider("a Google access token", "ya29.", Url, 60, 400),
    provider("a Slack bot token", "xoxb-", Url, 40, 90),
    provider("a Slack user token", "xoxp-", Url, 40, 90),
    provider("a Slack token", "xoxe.", Dotted, 40, 250),
    provider("a Slack token", "xoxe-", Url, 40, 250),
    provider("a Slack workspace token", "xoxa-", Url, 24, 90),
    provider("a Slack workspace refresh token", "xoxr-", Url, 24, 90),
    provider("a Slack session token", "xoxs-", Url, 40, 90),
    provider("a Slack app token", "xapp-", Url, 60, 160),
    provider("a Stripe live key", "sk_live_", Base62, 24, 120),
    provider("a Stripe restricted key", "rk_live_", Base62, 24, 120),
    provider("a Stripe test key", "sk_test_", Base62, 24, 120),
    provider("a Stripe webhook secret", "whsec_", Base64, 32, 48),
    provider("a SendGrid key", "SG.", Dotted, 66, 66),
    provider("a Mailgun key", "key-", Hex, 32, 32),
    provider("a Twilio key", "SK", Hex, 32, 32),
    provider("a DigitalOcean token", "dop_v1_", Hex, 64, 64),
    provider("a DigitalOcean OAuth token", "doo_v1_", Hex, 64, 64),
    provider("a Shopify token", "shpat_", Hex, 32, 32),
    provider("a Shopify secret", "shpss_", Hex, 32, 32),
    provider("a Shopify custom app token", "shpca_", Hex, 32, 32),
    provider("a Shopify private app token", "shppa_", Hex, 32, 32),
    provider("a Square token", "sq0atp-", Url, 22, 22),
    provider("a Square secret", "sq0csp-", Url, 43, 43),
    provider("a Shippo token", "shippo_live_", Hex, 40, 40),
    provider("a Facebook token", "EAA", Base62, 100, 400),
    provider("a Linear key", "lin_api_", Base62, 40, 40),
    provider("a Notion token", "ntn_", Base62, 46, 46),
    provider("a Notion token", "secret_", Base62, 43, 43),
    provider("a Databricks token", "dapi", Hex, 32, 32),
    provider("a Doppler token", "dp.pt.", Base62, 40, 44),
    provider("a HashiCorp Vault token", "hvs.", Url, 90, 140),
    provider("a HashiCorp Vault batch token", "hvb.", Url, 130, 400),
    provider("an Atlassian token", "ATATT3", Base64, 160, 240),
    provider("a Figma token", "figd_", Url, 40, 44),
    provider("a Postman key", "PMAK-", Url, 59, 59),
    provider("a Grafana token", "glsa_", Url, 41, 41),
    provider("a Grafana Cloud token", "glc_", Base64, 80, 400),
    provider("a Sentry token", "sntryu_", Hex, 64, 64),
    provider("a Sentry token", "sntrys_", Base64, 100, 400),
    provider("a Supabase token", "sbp_", Hex, 40, 40),
    provider("a PlanetScale token", "pscale_tkn_", Dotted, 32, 64),
    provider("a New Relic key", "NRAK-", Upper, 27, 27),
    provider("an Airtable token", "pat", Dotted, 79, 79).proved(Proof::Holds(".")),
    provider("a Heroku token", "HRKU-", Url, 36, 80),
    provider("an age identity", "AGE-SECRET-KEY-1", Upper, 58, 58),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_sound() {
        for (index, one) in PROVIDERS.iter().enumerate() {
            assert!(one.least <= one.most && one.most < 512, "{}", one.prefix);
            assert!(one.name.starts_with("a ") || one.name.starts_with("an "), "{}", one.name);
            assert!(PROVIDERS[..index].iter().all(|other| other.prefix != one.prefix), "`{}` twice", one.prefix);
        }
    }
}
