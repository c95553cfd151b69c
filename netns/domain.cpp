#include "netns/domain.h"

#include <algorithm>

namespace hutch::netns {
namespace {

constexpr size_t kLongestName = 253;
constexpr size_t kLongestLabel = 63;
constexpr std::string_view kAnyBelow = "*.";

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

bool is_label(std::string_view label) {
    return !label.empty() && label.size() <= kLongestLabel && label.front() != '-' && label.back() != '-' &&
           std::all_of(label.begin(), label.end(),
                       [](char c) { return (c >= 'a' && c <= 'z') || is_digit(c) || c == '-' || c == '_'; });
}

// Programs take a name for an address whose last label is a number, "0x7f" among them (WHATWG URL, "ends in a number").
bool is_number(std::string_view label) {
    const bool hex = label.starts_with("0x");
    if (hex) label.remove_prefix(2);
    return std::all_of(label.begin(), label.end(),
                       [hex](char c) { return is_digit(c) || (hex && c >= 'a' && c <= 'f'); });
}

}  // namespace

std::optional<std::string> host_name(std::string_view text) {
    if (text.ends_with('.')) text.remove_suffix(1);
    if (text.empty() || text.size() > kLongestName) return std::nullopt;
    std::string name(text);
    for (char& c : name) {
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    }
    std::string_view label;
    for (size_t begin = 0; begin <= name.size(); begin += label.size() + 1) {
        label = std::string_view(name).substr(begin, name.find('.', begin) - begin);
        if (!is_label(label)) return std::nullopt;
    }
    if (is_number(label)) return std::nullopt;
    return name;
}

Result<std::string> parse_domain(const std::string& text) {
    const bool below = text.starts_with(kAnyBelow);
    const auto name = host_name(std::string_view(text).substr(below ? kAnyBelow.size() : 0));
    if (name) return below ? std::string(kAnyBelow) + *name : *name;
    const auto is_ascii = [](char c) { return static_cast<unsigned char>(c) < 0x80; };
    const bool ascii = std::all_of(text.begin(), text.end(), is_ascii);
    return invalid("\"" + text + "\" must be the name of a host (example.org) or all below one (*.example.org)" +
                   (ascii ? "" : "; write other alphabets as xn--"));
}

bool is_listed(const std::vector<std::string>& domains, std::string_view name) {
    return std::any_of(domains.begin(), domains.end(), [name](std::string_view domain) {
        if (!domain.starts_with(kAnyBelow)) return domain == name;
        const std::string_view suffix = domain.substr(1);  // with its dot
        return name.size() > suffix.size() && name.ends_with(suffix);
    });
}

}  // namespace hutch::netns
