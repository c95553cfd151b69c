#include "daemon/wire/attached_header.h"

#include <algorithm>
#include <cctype>
#include <set>

#include "base/text.h"

namespace hutch::daemon {
namespace {

using std::string_view;

bool is_label(string_view label) {
    constexpr size_t kLongest = 63;  // of DNS
    return !label.empty() && label.size() <= kLongest && label.front() != '-' && label.back() != '-' &&
           std::all_of(label.begin(), label.end(),
                       [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_'; });
}

bool is_host_name(string_view name) {
    constexpr size_t kLongestName = 253;
    if (name.empty() || name.size() > kLongestName) return false;
    size_t labels = 0;
    string_view last;
    for (size_t begin = 0; begin <= name.size(); ++labels) {
        const size_t end = std::min(name.find('.', begin), name.size());
        last = name.substr(begin, end - begin);
        if (!is_label(last)) return false;
        begin = end + 1;
    }
    // What ends with digits is an address.
    return labels > 1 && std::any_of(last.begin(), last.end(), [](char c) { return c >= 'a' && c <= 'z'; });
}

bool is_field_name(string_view text) {
    constexpr string_view kMarks = "!#$%&'*+-.^_`|~";
    constexpr size_t kLongest = 128;
    return !text.empty() && text.size() <= kLongest && std::all_of(text.begin(), text.end(), [&](unsigned char c) {
        return (c < 0x80 && std::isalnum(c) != 0) || kMarks.find(static_cast<char>(c)) != string_view::npos;
    });
}

bool is_of_message(const std::string& name) {
    static const std::set<std::string, std::less<>> kNames = {"connection",
                                                              "content-length",
                                                              "expect",
                                                              "host",
                                                              "http2-settings",
                                                              "keep-alive",
                                                              "te",
                                                              "trailer",
                                                              "upgrade",
                                                              "via",
                                                              "transfer-encoding",
                                                              "proxy-connection",
                                                              "content-encoding"};
    return kNames.contains(name) || name.starts_with("proxy-") || name.starts_with("sec-websocket-");
}

}  // namespace

Result<void> check_host_pattern(string_view pattern) {
    const std::string said = '"' + std::string(pattern.substr(0, 300)) + '"';
    if (lower(pattern) != pattern) return invalid(said + ": write it in lower case");
    const string_view name = pattern.starts_with("*.") ? pattern.substr(2) : pattern;
    if (is_host_name(name)) return {};
    return invalid(said + ": must be a host's name as api.example.com, or *.example.com, without scheme or port");
}

bool matches_host(string_view pattern, string_view name) {
    if (!pattern.starts_with("*.")) return pattern == name;
    const string_view suffix = pattern.substr(1);
    return name.size() > suffix.size() && name.ends_with(suffix);
}

Result<void> check_header(string_view name, string_view value) {
    constexpr size_t kLongestValue = 8192;
    const std::string said(name.substr(0, 128));
    if (!is_field_name(name)) return invalid('"' + said + "\" is no name of a header");
    if (is_of_message(lower(name))) return invalid(said + ": tells how a message is read, and cannot be set");
    if (value.empty()) return invalid(said + ": its value is empty");
    if (value.size() > kLongestValue) return invalid(said + ": its value is longer than 8192 bytes");
    const auto is_text = [](unsigned char c) { return (c >= ' ' && c != 0x7f) || c == '\t'; };
    if (!std::all_of(value.begin(), value.end(), is_text)) {
        return invalid(said + ": its value holds a control character or a line's end");
    }
    const auto is_blank = [](char c) { return c == ' ' || c == '\t'; };
    if (is_blank(value.front()) || is_blank(value.back())) {
        return invalid(said + ": its value begins or ends with a blank");
    }
    return {};
}

}  // namespace hutch::daemon
