#include "daemon/wire/framing.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <set>

#include "base/text.h"

namespace hutch::daemon {
namespace {

using std::string_view;
using Verdict = std::optional<Refusal>;

Verdict bad(std::string sentence) {
    return Refusal{400, std::move(sentence)};
}

bool is_token(string_view text) {
    constexpr string_view kMarks = "!#$%&'*+-.^_`|~";
    return !text.empty() && std::all_of(text.begin(), text.end(), [&](unsigned char c) {
        return (c < 0x80 && std::isalnum(c) != 0) || kMarks.find(static_cast<char>(c)) != string_view::npos;
    });
}

string_view trimmed(string_view text) {
    const size_t begin = text.find_first_not_of(" \t");
    if (begin == string_view::npos) return {};
    return text.substr(begin, text.find_last_not_of(" \t") - begin + 1);
}

/// What the fields say that decides how the request is read.
struct Framing {
    bool old = false;  ///< HTTP/1.0
    std::set<std::string> once;
};

Verdict check_request_line(string_view line, Framing& framing) {
    const size_t method = line.find(' ');
    const size_t target = line.rfind(' ');
    if (method == string_view::npos || method == target) {
        return bad("request: must begin with METHOD TARGET HTTP/1.1");
    }
    const string_view version = line.substr(target + 1);
    if (version != "HTTP/1.1" && version != "HTTP/1.0") return Refusal{505, "request: must be HTTP/1.1 or HTTP/1.0"};
    framing.old = version == "HTTP/1.0";
    if (!is_token(line.substr(0, method))) return bad("request: the method is no word");
    const string_view path = line.substr(method + 1, target - method - 1);
    if (path.empty() || path.front() != '/') return bad("request: the target must begin with '/'");
    if (std::any_of(path.begin(), path.end(), [](unsigned char c) { return c <= ' ' || c >= 0x7f; })) {
        return bad("request: the target holds a byte that must be escaped as %XX");
    }
    return std::nullopt;
}

Verdict check_meaning(const std::string& name, string_view value, const Framing& framing) {
    if (name == "content-length") {
        constexpr size_t kMostDigits = 18;  // below 2^63
        if (value.empty() || value.size() > kMostDigits ||
            !std::all_of(value.begin(), value.end(), [](unsigned char c) { return std::isdigit(c) != 0; })) {
            return bad("Content-Length: must be one whole number");
        }
    } else if (name == "transfer-encoding") {
        if (lower(value) != "chunked") return bad("Transfer-Encoding: must be chunked");
        if (framing.old) return bad("Transfer-Encoding: HTTP/1.0 has none; send a Content-Length");
    } else if (name == "host") {
        if (value.find_first_of(" \t,/@?#\\") != string_view::npos) return bad("Host: must be one name or address");
    } else if (name == "expect" && lower(value) != "100-continue") {
        return Refusal{417, "Expect: must be 100-continue"};
    }
    return std::nullopt;
}

Verdict check_field(string_view line, Framing& framing) {
    if (line.front() == ' ' || line.front() == '\t') {
        return bad("headers: one goes on in a second line; send it in one");
    }
    const size_t colon = line.find(':');
    if (colon == string_view::npos || !is_token(line.substr(0, colon))) {
        return bad("headers: each must be NAME: VALUE, without a space before the colon");
    }
    // Those that we act on: of two, this side might take the first and another the second.
    static const std::set<std::string> kSingle = {
        "host",          "content-length", "transfer-encoding", "content-type",      "x-box-api-key",
        "origin",        "expect",         "upgrade",           "sec-websocket-key", "last-event-id",
        "authorization", "x-api-key",      "content-encoding",  "idempotency-key"};
    const std::string name = lower(line.substr(0, colon));
    if (kSingle.contains(name) && !framing.once.insert(name).second) {
        return bad(std::string(line.substr(0, colon)) + ": is there twice");
    }
    return check_meaning(name, trimmed(line.substr(colon + 1)), framing);
}

Verdict check_head(string_view head) {
    Framing framing;
    size_t fields = 0;
    size_t begin = head.find("\r\n") + 2;
    if (auto refusal = check_request_line(head.substr(0, begin - 2), framing)) return refusal;
    while (begin + 2 < head.size()) {
        const size_t end = head.find("\r\n", begin);
        if (++fields > HeadScan::kMostFields) return Refusal{431, "headers: more than 100"};
        if (auto refusal = check_field(head.substr(begin, end - begin), framing)) return refusal;
        begin = end + 2;
    }
    if (!framing.old && !framing.once.contains("host")) return bad("Host: is required");
    if (framing.once.contains("content-length") && framing.once.contains("transfer-encoding")) {
        return bad("Content-Length: must not be there beside Transfer-Encoding");
    }
    return std::nullopt;
}

}  // namespace

std::optional<Refusal> HeadScan::look(string_view received) {
    for (; seen_ < received.size(); ++seen_) {
        if (seen_ >= kMostBytes) return Refusal{431, "headers: larger than 16384 bytes"};
        const auto c = static_cast<unsigned char>(received[seen_]);
        const bool after_cr = seen_ > 0 && received[seen_ - 1] == '\r';
        if (after_cr != (c == '\n')) return bad("request: each line must end with CR and LF");
        if ((c < ' ' && c != '\t' && c != '\r' && c != '\n') || c == 0x7f) {
            return bad("request: a control byte in the head; is this HTTP, without TLS?");
        }
        if (c == '\n' && (seen_ == 1 || received.substr(seen_ - 2, 1) == "\n")) {
            size_ = ++seen_;
            return size_ == 2 ? bad("request: begins with an empty line") : check_head(received.substr(0, size_));
        }
    }
    return std::nullopt;
}

}  // namespace hutch::daemon
