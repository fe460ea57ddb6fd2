//! Frames of streams and what they mean, however the network cut them.

use bytes::Bytes;
use proptest::prelude::*;
use shipway_dialects::{Cause, Dialect, Ending, Finish, Frame, Scanner, Sort, Usage};

/// Feeds `stream` in pieces of the given lengths, over and over.
fn scan(dialect: Dialect, stream: &[u8], lengths: &[usize]) -> (Scanner, Vec<Frame>, Ending) {
    let mut scanner = Scanner::new(dialect);
    let mut frames = Vec::new();
    let (mut at, mut lengths) = (0, lengths.iter().cycle());
    while at < stream.len() {
        let end = (at + lengths.next().copied().unwrap_or(stream.len()).max(1)).min(stream.len());
        scanner.feed(&Bytes::copy_from_slice(&stream[at..end]), &mut frames).unwrap();
        at = end;
    }
    let (ending, last) = scanner.end();
    frames.extend(last);
    (scanner, frames, ending)
}

fn whole(dialect: Dialect, stream: &str) -> (Scanner, Vec<Frame>, Ending) {
    scan(dialect, stream.as_bytes(), &[])
}

fn sorts(frames: &[Frame]) -> Vec<Sort> {
    frames.iter().map(|frame| frame.sort).collect()
}

const CHAT: &str = "data: {\"id\":\"c\",\"model\":\"gpt-x\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null}],\"usage\":null}\n\n\
: keep alive\r\n\r\n\
data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"\u{1F6A2} \\\"usage\\\": héllo\"},\"finish_reason\":null}],\"usage\":null}\r\n\r\n\
data: {\"choices\":[{\"index\":0,\ndata: \"delta\":{\"content\":\"!\"},\"finish_reason\":null}]}\n\n\
data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":null}\n\n\
data: {\"choices\":[],\"usage\":{\"prompt_tokens\":20,\"completion_tokens\":5,\"total_tokens\":25,\"prompt_tokens_details\":{\"cached_tokens\":8}}}\n\n\
data: [DONE]\n\n";

#[test]
fn a_chat_stream_is_what_it_says() {
    let (scanner, frames, ending) = whole(Dialect::OpenAiChat, CHAT);

    use Sort::{Content, End, Finish as Finished, KeepAlive, Start, UsageOnly};
    assert_eq!(sorts(&frames), [Start, KeepAlive, Content, Content, Finished, UsageOnly, End]);
    assert_eq!(ending, Ending::Complete);
    assert_eq!(scanner.finish(), Some(&Finish::Stop));
    assert_eq!(scanner.model(), Some("gpt-x"));
    assert_eq!(scanner.usage(), Some(Usage { input: 12, cache_read: 8, output: 5, ..Usage::default() }));
    assert_eq!(scanner.usage_or_estimate(99), (scanner.usage().unwrap(), false));
}

#[test]
fn usage_beside_choices_is_read_and_not_hidden() {
    let (scanner, frames, _) = whole(
        Dialect::OpenAiChat,
        "data: {\"choices\":[{\"delta\":{\"content\":\"x\"},\"finish_reason\":\"length\"}],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":1}}\n\n\
         data: {\"choices\":[],\"prompt_filter_results\":[]}\n\n",
    );

    assert_eq!(sorts(&frames), [Sort::Finish, Sort::Other]);
    assert!(frames[0].has_output);
    assert_eq!(scanner.usage().map(|usage| usage.input), Some(3));
}

#[test]
fn a_stream_that_is_cut_off_is_never_complete() {
    for end in 0..CHAT.len() {
        if !CHAT.is_char_boundary(end) {
            continue;
        }
        let (scanner, frames, ending) = whole(Dialect::OpenAiChat, &CHAT[..end]);
        // The last empty line may be missing: the terminator is there all the same.
        let wanted = if end >= CHAT.find("[DONE]").unwrap() + "[DONE]".len() {
            Ending::Complete
        } else if scanner.finish().is_some() {
            Ending::Unterminated
        } else {
            Ending::Truncated
        };
        assert_eq!(ending, wanted, "cut at {end}: {frames:?}");
    }
}

#[test]
fn an_error_in_the_first_frame_is_seen_before_anything_is_sent() {
    let (scanner, frames, ending) = whole(
        Dialect::OpenAiChat,
        "data: {\"error\":{\"message\":\"slow down\",\"type\":\"rate_limit_error\",\"code\":\"rate_limit_exceeded\"}}\n\n",
    );

    assert_eq!((sorts(&frames), ending), (vec![Sort::Error], Ending::Failed));
    assert_eq!(scanner.error().unwrap().cause, Cause::RateLimit);
    assert_eq!(scanner.usage_or_estimate(99), (Usage::default(), false), "nothing was done");
}

#[test]
fn a_cut_stream_is_charged_for_what_was_written() {
    let text = "w".repeat(400);
    let chunk = format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"{text}\"}}}}]}}\n\n");

    let (scanner, _, ending) = whole(Dialect::OpenAiChat, &chunk);

    assert_eq!(ending, Ending::Truncated);
    assert_eq!(scanner.usage_or_estimate(7), (Usage { input: 7, output: 100, ..Usage::default() }, true));
}

const MESSAGES: &str = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"model\":\"claude-x\",\"content\":[],\"stop_reason\":null,\"usage\":{\"input_tokens\":10,\"cache_read_input_tokens\":4,\"cache_creation_input_tokens\":30,\"cache_creation\":{\"ephemeral_5m_input_tokens\":10,\"ephemeral_1h_input_tokens\":20},\"output_tokens\":1}}}\n\n\
event: ping\ndata: {\"type\":\"ping\"}\n\n\
event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n\
event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"hi\"}}\n\n\
event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n\
event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"max_tokens\",\"stop_sequence\":null},\"usage\":{\"output_tokens\":15,\"cache_creation_input_tokens\":30}}\n\n\
event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";

#[test]
fn a_stream_of_messages_adds_its_usage_up_from_both_ends() {
    let (scanner, frames, ending) = whole(Dialect::AnthropicMessages, MESSAGES);

    assert_eq!(ending, Ending::Complete);
    assert_eq!((frames[0].sort, frames[1].sort, frames[6].sort), (Sort::Start, Sort::KeepAlive, Sort::End));
    assert_eq!(scanner.finish(), Some(&Finish::Length));
    let usage = Usage {
        input: 10,
        cache_read: 4,
        cache_write: 10,
        cache_write_long: 20,
        output: 15,
        ..Usage::default()
    };
    assert_eq!(scanner.usage(), Some(usage));
}

#[test]
fn a_stream_of_messages_fails_in_its_own_words() {
    let (scanner, frames, ending) = whole(
        Dialect::AnthropicMessages,
        "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}\n\n",
    );

    assert_eq!((sorts(&frames), ending), (vec![Sort::Error], Ending::Failed));
    assert_eq!(scanner.error().unwrap().cause, Cause::Overloaded);
}

#[test]
fn responses_end_with_the_event_that_says_how() {
    let event = |kind: &str, rest: &str| format!("event: {kind}\ndata: {{\"type\":\"{kind}\"{rest}}}\n\n");
    let stream = [
        event(
            "response.created",
            ",\"sequence_number\":0,\"response\":{\"model\":\"gpt-x\",\"usage\":null,\"error\":null}",
        ),
        event("response.output_text.delta", ",\"sequence_number\":1,\"delta\":\"hello\""),
        event(
            "response.incomplete",
            ",\"sequence_number\":2,\"response\":{\"incomplete_details\":{\"reason\":\"max_output_tokens\"},\"output\":[],\"usage\":{\"input_tokens\":9,\"output_tokens\":4,\"output_tokens_details\":{\"reasoning_tokens\":3}}}",
        ),
    ];

    let (scanner, frames, ending) = whole(Dialect::OpenAiResponses, &stream.concat());
    assert_eq!((sorts(&frames), ending), (vec![Sort::Start, Sort::Content, Sort::End], Ending::Complete));
    assert_eq!((scanner.finish(), scanner.next_sequence()), (Some(&Finish::Length), 3));
    assert_eq!(scanner.usage(), Some(Usage { input: 9, output: 4, reasoning: 3, ..Usage::default() }));

    let (_, _, ending) = whole(Dialect::OpenAiResponses, &stream[..2].concat());
    assert_eq!(ending, Ending::Truncated);

    let failed = event(
        "response.failed",
        ",\"response\":{\"error\":{\"code\":\"server_error\",\"message\":\"broke\"}}",
    );
    let (scanner, _, ending) = whole(Dialect::OpenAiResponses, &failed);
    assert_eq!((ending, scanner.error().unwrap().message.as_str()), (Ending::Failed, "broke"));
}

#[test]
fn gemini_counts_cumulatively_and_has_no_terminator() {
    let stream = "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"a\"}]}}],\"usageMetadata\":{\"promptTokenCount\":10,\"candidatesTokenCount\":1,\"totalTokenCount\":11}}\r\n\r\n\
data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"\",\"thoughtSignature\":\"s\"}]},\"finishReason\":\"STOP\"}],\"usageMetadata\":{\"promptTokenCount\":10,\"candidatesTokenCount\":2,\"thoughtsTokenCount\":5,\"cachedContentTokenCount\":4,\"totalTokenCount\":17}}\r\n\r\n";

    let (scanner, frames, ending) = whole(Dialect::GeminiGenerate, stream);

    assert_eq!((sorts(&frames), ending), (vec![Sort::Content, Sort::Finish], Ending::Complete));
    assert_eq!(
        scanner.usage(),
        Some(Usage { input: 6, cache_read: 4, output: 7, reasoning: 5, ..Usage::default() })
    );
    assert_eq!(whole(Dialect::GeminiGenerate, &stream[..stream.len() / 3]).2, Ending::Truncated);
}

#[test]
fn what_keeps_a_connection_alive_goes_on_at_once() {
    let mut scanner = Scanner::new(Dialect::OpenAiChat);
    let mut frames = Vec::new();

    scanner.feed(&Bytes::from_static(b"\n"), &mut frames).unwrap();
    scanner.feed(&Bytes::from_static(b": ping\n\n"), &mut frames).unwrap();

    assert_eq!(sorts(&frames), [Sort::KeepAlive, Sort::KeepAlive]);
}

#[test]
fn a_frame_without_an_end_is_given_up() {
    let mut scanner = Scanner::new(Dialect::OpenAiChat);
    let megabyte = Bytes::from(vec![b'x'; 1 << 20]);

    let fed: Result<Vec<()>, _> = (0..40).map(|_| scanner.feed(&megabyte, &mut Vec::new())).collect();

    assert!(fed.is_err());
}

proptest! {
    #[test]
    fn any_split_gives_the_same_frames(lengths in prop::collection::vec(1_usize..60, 1..20), which in 0_usize..4) {
        let crlf = CHAT.replace("\r\n", "\n").replace('\n', "\r\n");
        let returns = CHAT.replace("\r\n", "\n").replace('\n', "\r");
        let (dialect, stream) = [
            (Dialect::OpenAiChat, CHAT), (Dialect::OpenAiChat, crlf.as_str()), (Dialect::OpenAiChat, returns.as_str()),
            (Dialect::AnthropicMessages, MESSAGES),
        ][which];
        let (one, frames, ending) = whole(dialect, stream);

        let (split, split_frames, split_ending) = scan(dialect, stream.as_bytes(), &lengths);

        prop_assert_eq!(&frames, &split_frames);
        prop_assert_eq!((ending, one.usage(), one.output_bytes()), (split_ending, split.usage(), split.output_bytes()));
        let joined: Vec<u8> = split_frames.iter().flat_map(|frame| frame.bytes.to_vec()).collect();
        prop_assert_eq!(joined, stream.as_bytes());
    }

    #[test]
    fn hostile_streams_never_panic_and_lose_no_byte(stream in prop::collection::vec(prop_oneof![any::<u8>(), Just(b'\n'), Just(b'\r'), Just(b':')], 0..400), lengths in prop::collection::vec(1_usize..40, 1..6)) {
        for dialect in Dialect::ALL {
            let mut scanner = Scanner::new(dialect);
            let mut frames = Vec::new();
            let (mut at, mut cycle) = (0, lengths.iter().cycle());
            while at < stream.len() {
                let end = (at + cycle.next().unwrap()).min(stream.len());
                scanner.feed(&Bytes::copy_from_slice(&stream[at..end]), &mut frames).unwrap();
                at = end;
            }
            let joined: Vec<u8> = frames.iter().flat_map(|frame| frame.bytes.to_vec()).collect();
            prop_assert!(stream.starts_with(&joined));
            scanner.end();
        }
    }

    #[test]
    fn frames_of_hostile_json_never_panic(data in r#"[\[\]{}",:0-9a-z\\ ]{0,80}"#) {
        for dialect in Dialect::ALL {
            let stream = format!("event: message_delta\ndata: {{\"type\":\"message_delta\",\"choices\":{data},\"usage\":{data}}}\n\n");
            whole(dialect, &stream);
        }
    }
}
