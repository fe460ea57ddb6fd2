//! The command line.

use std::net::{IpAddr, SocketAddr};

use clap::Parser;

use crate::clouds::AwsKey;

/// Plays a provider of language models, for tests and benches.
///
/// OpenAI: POST /v1/chat/completions, /v1/completions, /v1/responses (GET, DELETE, cancel, input_items, input_tokens), /v1/embeddings,
/// /v1/files, /v1/batches, GET /v1/models. Anthropic: POST /v1/messages, /v1/messages/count_tokens. Gemini: POST /v1beta/models/{model}:generateContent,
/// :streamGenerateContent, :countTokens, :embedContent, :batchEmbedContents. Bedrock: POST /model/{id}/converse, /converse-stream,
/// /count-tokens, /invoke (embeddings of Titan and Cohere). Vertex: POST
/// /v1/projects/…/publishers/google/models/{model}:generateContent, :predict and so on, …/publishers/anthropic/models/{model}:rawPredict,
/// :streamRawPredict, POST /token. Control: GET /_mock/health, /_mock/counters, /_mock/journal,
/// /_mock/service_account, PUT /_mock/scripts.
#[derive(Debug, Parser)]
#[command(name = "shipway-mock-provider", version, after_long_help = SCRIPTS)]
pub(crate) struct Flags {
    /// The address it listens on
    #[arg(long, default_value = "127.0.0.1")]
    pub(crate) host: IpAddr,
    /// The port it listens on; 0 takes a free one. The port is printed as the first line of standard output
    #[arg(long, default_value_t = 0)]
    pub(crate) port: u16,
    /// Threads that answer
    #[arg(long, default_value_t = 2)]
    pub(crate) threads: usize,
    /// How every answer comes, unless the request says otherwise; see SCRIPTS below
    #[arg(long, default_value = "")]
    pub(crate) script: String,
    /// A script for a model or a key, over `--script`: `model=gpt-slow:latency=2s` or `key=sk-slow:status=429`. Repeatable
    #[arg(long = "rule", value_name = "WHO=NAME:SCRIPT")]
    pub(crate) rules: Vec<String>,
    /// Model names that GET /v1/models lists; every name is answered
    #[arg(long, value_delimiter = ',', default_value = "gpt-mock,claude-mock,embed-mock")]
    pub(crate) models: Vec<String>,
    /// Keys that are accepted; without this flag every request is
    #[arg(long, value_delimiter = ',', value_name = "KEYS")]
    pub(crate) accept_keys: Vec<String>,
    /// An access key of AWS whose signatures Bedrock asks for. Repeatable; without it Bedrock looks at no signature
    #[arg(long = "aws-key", value_name = "ID:SECRET[:TOKEN]")]
    pub(crate) aws_keys: Vec<AwsKey>,
    /// Seconds that an access token of Google holds
    #[arg(long, default_value_t = 3_600)]
    pub(crate) token_seconds: u64,
    /// For benches: answers are prepared once for each model, path and script, and a request is only searched for its model and
    /// whether it wants a stream, never parsed or checked
    #[arg(long)]
    pub(crate) prepared: bool,
    /// Requests that the journal remembers; 0 keeps counters only
    #[arg(long, default_value_t = 10_000)]
    pub(crate) journal: usize,
    /// The journal keeps a request's body up to this many bytes; of longer ones it has length and checksum.
    /// All of them together are kept up to 256 MiB
    #[arg(long, default_value_t = 1_048_576)]
    pub(crate) keep_body_bytes: usize,
    /// Longer bodies are refused with 413
    #[arg(long, default_value_t = 67_108_864)]
    pub(crate) body_limit_bytes: usize,
    /// For benches: play nothing, and only pass bytes on to this address
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) relay_to: Option<SocketAddr>,
    /// Stay when the process that started this one ends
    #[arg(long)]
    pub(crate) outlive_parent: bool,
}

const SCRIPTS: &str = "\
SCRIPTS
A script is `key=value` pairs between commas or spaces. It comes from --script, from a --rule, from the model's name after its last
slash (`mock/latency=20ms,chunks=64`; the model is then `mock`), from the text of the request (`[[mock: fault=cut:3]]`), from the header
x-mock-script, and from PUT /_mock/scripts, each over those before it.

When it comes (times: 20ms, 1.5s, 300us; or the percentiles 50, 90, 95 and 99: 10ms/20ms/40ms/90ms)
  latency=TIME         before the first byte             jitter=TIME      up to so much more, evenly
  slow_headers=TIME    between status line and headers   first=TIME       between headers and first frame
  interval=TIME        between frames                    seed=N           of everything that is drawn

What it says
  chunks=N             pieces of the text (8)            chunk_bytes=N    of each piece (as the word is)
  text=WORD            only this                         echo             what the last user message said
  unicode              text beyond ASCII                 finish=length    stops at the limit
  tools=N              N calls of the request's tools    args=empty       without arguments
  interleave           their fragments alternate         thinking=N       thinks in N pieces; redacted: unreadably
  refusal              the model refuses                 filter           the provider's filter stops it
  ids=unique           ids with a number of their own

Usage
  input=N output=N cached=N cache_write=N cache_write_1h=N reasoning=N audio=N
  usage=none           never told                        usage=always     in streams, asked for or not
  usage=merged         with the last choices             usage=each       in every frame

Errors, in the provider's own words
  error=KIND           invalid auth permission not_found too_large rate_limit quota context content_policy server bad_gateway
                       unavailable overloaded timeout
  status=N             that status, and the error that belongs to it
  retry_after=SECONDS  retry_after_ms=N                  should_retry=true|false
  fail=PERCENT         only so many of the requests fail

Faults
  fault=cut:K          the connection ends after K frames (of a whole answer: in its middle), as a closed one
  fault=reset:K        the same with a reset             fault=half_frame:K  the same, in the middle of frame K
  fault=stall:K        silence after K frames, until the client leaves
  fault=end:K          a clean end of HTTP after K frames
  fault=no_terminator  everything but the terminator     fault=no_finish  everything but the reason why it ended
  fault=error_frame:K  an error within the stream, in place of frame K (0: the first)
  fault=bad_checksum:K frame K of a binary stream is damaged
  fault=disconnect     not a byte                        fault=empty      200 and nothing
  fault=garbage        200 and no JSON                   fault=html       a proxy's page (502, or status=N)

How it is sent
  gzip                 compressed, frame by frame        crlf             lines end with CR LF
  multiline            data of a frame in several lines  comments         a comment between frames
  pings                Anthropic's pings between frames  split=utf8       pieces end within characters
  split=N              pieces of N bytes                 close            the connection ends after the answer
";
