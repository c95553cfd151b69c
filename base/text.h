#pragma once

#include <algorithm>
#include <string>
#include <string_view>

namespace hutch {

/// Of names of headers and the like, which are ASCII.
inline std::string lower(std::string_view text) {
    std::string all(text);
    std::transform(all.begin(), all.end(), all.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
    return all;
}

/// Whether a control character of ASCII is in it, a line's end among them. UTF-8 has none of these bytes.
inline bool has_control(std::string_view text) {
    return std::any_of(text.begin(), text.end(), [](unsigned char c) { return c < ' ' || c == 0x7f; });
}

inline bool is_web_address(std::string_view url) {
    return url.starts_with("https://") || url.starts_with("http://");
}

/// What of a web address may be logged: scheme and host. Its user, path and query may be secrets.
inline std::string origin_of(std::string_view url) {
    const size_t host = url.find("://") + 3;
    const std::string_view authority = url.substr(host, url.find_first_of("/?#", host) - host);
    const size_t user = authority.rfind('@');
    return std::string(url.substr(0, host)) +
           std::string(authority.substr(user == std::string_view::npos ? 0 : user + 1));
}

}  // namespace hutch
