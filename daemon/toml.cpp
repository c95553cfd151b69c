#include "daemon/toml.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/result.h"

namespace hutch::daemon {
namespace {

bool is_blank(char c) {
    return c == ' ' || c == '\t';
}

bool is_name_character(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
}

std::string_view without_blanks_before(std::string_view text) {
    while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
    return text;
}

// Takes a text in `quote`s off the front of `rest`. Between single quotes a backslash is only itself.
Result<std::string> take_text(std::string_view& rest, char quote) {
    std::string value;
    for (size_t i = 1; i < rest.size(); ++i) {
        const char c = rest[i];
        if (c == quote) {
            rest.remove_prefix(i + 1);
            return value;
        }
        if (static_cast<unsigned char>(c) < ' ' && c != '\t')
            return invalid("has a control character; none is allowed");
        if (quote == '"' && c == '\\') {
            if (++i == rest.size() || (rest[i] != '"' && rest[i] != '\\')) {
                return invalid("has a backslash; write \\\\ for one, or put the value in single quotes");
            }
        }
        value += rest[i];
    }
    return invalid(fmt::format("has no {} at its end", quote));
}

bool is_number(std::string_view word) {
    return !word.empty() && std::all_of(word.begin(), word.end(), [](char c) {
        return (c >= '0' && c <= '9') || c == '_' || c == '.' || c == '+' || c == '-';
    });
}

// Takes a number, true or false off the front of `rest`.
Result<void> take_word(std::string_view& rest, TomlEntry& entry) {
    const size_t end = std::min(rest.find_first_of(" \t#"), rest.size());
    const std::string_view word = rest.substr(0, end);
    if (word.empty()) return invalid("has no value");
    if (word.front() == '[' || word.front() == '{') return invalid("must be one value, not a list or a table");
    rest.remove_prefix(end);
    entry.value = word;
    entry.type = word == "true" || word == "false" ? TomlType::kFlag : TomlType::kNumber;
    if (entry.type == TomlType::kFlag) return {};
    if (!is_number(word)) return invalid(fmt::format("must be in quotes: {}", toml_quoted(word)));
    std::erase(entry.value, '_');
    return {};
}

Result<TomlEntry> parse_line(std::string_view rest) {
    if (rest.front() == '[') return invalid("there are no tables here; every line is OPTION = VALUE");
    TomlEntry entry;
    const auto end = std::find_if_not(rest.begin(), rest.end(), is_name_character);
    entry.name = std::string(rest.begin(), end);
    rest = without_blanks_before(rest.substr(entry.name.size()));
    if (entry.name.empty() || rest.empty() || rest.front() != '=') {
        return invalid("every line must be OPTION = VALUE, or a comment behind #");
    }
    rest = without_blanks_before(rest.substr(1));
    if (!rest.empty() && (rest.front() == '"' || rest.front() == '\'')) {
        entry.value = TRY_IN(entry.name, take_text(rest, rest.front()));
    } else {
        TRY_IN(entry.name, take_word(rest, entry));
    }
    rest = without_blanks_before(rest);
    if (!rest.empty() && rest.front() != '#') {
        return invalid(fmt::format("{}: has more behind its value: {}", entry.name, rest));
    }
    return entry;
}

}  // namespace

TomlFile parse_toml(std::string_view text) {
    TomlFile file;
    for (size_t line = 1; !text.empty(); ++line) {
        std::string_view content = text.substr(0, text.find('\n'));
        text.remove_prefix(std::min(content.size() + 1, text.size()));
        if (content.ends_with('\r')) content.remove_suffix(1);
        content = without_blanks_before(content);
        if (content.empty() || content.front() == '#') continue;
        auto entry = parse_line(content);
        if (!entry.ok()) {
            file.problems.push_back({line, entry.error().message});
            continue;
        }
        entry->line = line;
        file.entries.push_back(std::move(entry).value());
    }
    return file;
}

std::string toml_quoted(std::string_view text) {
    std::string quoted = "\"";
    for (const char c : text) {
        if (c == '"' || c == '\\') quoted += '\\';
        quoted += c;
    }
    return quoted + '"';
}

}  // namespace hutch::daemon
