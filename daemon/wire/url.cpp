#include "daemon/wire/url.h"

#include <optional>
#include <string_view>

namespace hutch::daemon {
namespace {

int digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

std::optional<std::string> decode(std::string_view text, bool plus_is_space) {
    std::string decoded;
    for (size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '%') {
            const int high = i + 2 < text.size() ? digit(text[i + 1]) : -1;
            const int low = i + 2 < text.size() ? digit(text[i + 2]) : -1;
            if (high < 0 || low < 0) return std::nullopt;
            decoded += static_cast<char>(high * 16 + low);
            i += 2;
        } else {
            decoded += plus_is_space && text[i] == '+' ? ' ' : text[i];
        }
    }
    return decoded;
}

}  // namespace

Result<Target> parse_target(const std::string& target) {
    if (target.empty() || target.front() != '/') return invalid("request: the target must begin with '/'");
    Target parsed;
    const std::string_view whole = std::string_view(target).substr(0, target.find('#'));
    const std::string_view raw_path = whole.substr(0, whole.find('?'));
    for (size_t begin = 1; begin <= raw_path.size();) {
        const size_t end = std::min(raw_path.find('/', begin), raw_path.size());
        const auto segment = decode(raw_path.substr(begin, end - begin), false);
        if (!segment || segment->find('/') != std::string::npos || segment->find('\0') != std::string::npos) {
            return invalid("request: a bad escape in the path");
        }
        parsed.path += "/" + *segment;
        begin = end + 1;
    }
    if (raw_path.size() == whole.size()) return parsed;
    const std::string_view query = whole.substr(raw_path.size() + 1);
    for (size_t begin = 0; begin < query.size();) {
        const size_t end = std::min(query.find('&', begin), query.size());
        const std::string_view item = query.substr(begin, end - begin);
        const auto name = decode(item.substr(0, item.find('=')), true);
        const auto value =
            item.find('=') == std::string_view::npos ? std::string() : decode(item.substr(item.find('=') + 1), true);
        if (!name || !value) return invalid("request: a bad escape in the query");
        parsed.query[*name] = *value;
        begin = end + 1;
    }
    return parsed;
}

}  // namespace hutch::daemon
