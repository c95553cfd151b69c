#include "daemon/api/model_call.h"

#include <algorithm>
#include <set>

namespace hutch::daemon {
namespace {

constexpr std::string_view kBackground = "background";
constexpr size_t kUnicodeDigits = 4;

bool is_space(char c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

}  // namespace

bool is_model_call(const std::string& method, const std::string& path) {
    static const std::set<std::string> kAsks = {"/v1/messages",          "/v1/messages/count_tokens",
                                                "/v1/chat/completions",  "/v1/responses",
                                                "/v1/responses/compact", "/v1/responses/input_tokens"};
    if (method == "POST") return kAsks.contains(path);
    // What a server might decode once more, or take for a slash, is in no name of a model.
    if (path.find("..") != std::string::npos || path.find_first_of("%\\;") != std::string::npos) return false;
    return method == "GET" && (path == "/v1/models" || path.starts_with("/v1/models/"));
}

bool is_told_to_provider(const std::string& name) {
    static const std::set<std::string> kTold = {"accept",
                                                "accept-language",
                                                "anthropic-beta",
                                                "anthropic-dangerous-direct-browser-access",
                                                "anthropic-version",
                                                "content-type",
                                                "conversation-id",
                                                "conversation_id",
                                                "idempotency-key",
                                                "openai-beta",
                                                "originator",
                                                "session-id",
                                                "session_id",
                                                "traceparent",
                                                "user-agent",
                                                "version",
                                                "x-app",
                                                "x-client-request-id",
                                                "x-request-id"};
    static constexpr std::string_view kFamilies[] = {"x-stainless-", "x-codex-", "x-claude-", "x-opencode-"};
    return kTold.contains(name) || std::any_of(std::begin(kFamilies), std::end(kFamilies),
                                               [&name](std::string_view family) { return name.starts_with(family); });
}

void BackgroundScan::feed(std::string_view piece) {
    for (const char c : piece) {
        if (refusal_ || ended_) return;
        take(c);
    }
}

void BackgroundScan::take(char c) {
    if (in_string_) return take_in_string(c);
    if (is_space(c)) return;
    if (depth_ == 0 && c != '{') {
        refusal_ = "body: must be a JSON object in UTF-8";
        return;
    }
    if (awaits_ && c != 'f' && c != 'n') {  // false, null
        refusal_ = "background: an answer is given while its run waits for it; leave it out, or say false";
        return;
    }
    awaits_ = false;
    take_outside(c);
}

void BackgroundScan::take_outside(char c) {
    if (c == '{' || c == '[') ++depth_;
    if (c == '}' || c == ']') ended_ = --depth_ == 0;
    if (c == ':' && depth_ == 1) awaits_ = last_ == kBackground;
    if (c == '"') {
        in_string_ = true;
        if (depth_ == 1) last_.clear();
    }
}

// A name may be written with escapes, too.
void BackgroundScan::take_in_string(char c) {
    const auto add = [this](char plain) {
        if (depth_ == 1 && last_.size() <= kBackground.size()) last_ += plain;
    };
    if (escape_ == Escape::kBegun) {
        escape_ = c == 'u' ? Escape::kUnicode : Escape::kNo;
        unicode_.clear();
        if (c != 'u') add(c == '/' || c == '\\' || c == '"' ? c : '?');
    } else if (escape_ == Escape::kUnicode) {
        unicode_ += c;
        if (unicode_.size() < kUnicodeDigits) return;
        escape_ = Escape::kNo;
        const bool ascii =
            unicode_.starts_with("00") && unicode_.find_first_not_of("0123456789abcdefABCDEF") == std::string::npos;
        add(ascii ? static_cast<char>(std::stoi(unicode_, nullptr, 16)) : '?');
    } else if (c == '\\') {
        escape_ = Escape::kBegun;
    } else if (c == '"') {
        in_string_ = false;
    } else {
        add(c);
    }
}

}  // namespace hutch::daemon
