#include <sstream>
#include <string_view>

#include "base/text.h"
#include "daemon/git_identity.h"

namespace hutch::daemon {
namespace {

// In quotes, as git-config(1) reads them.
std::string quoted(const std::string& value) {
    std::string text = "\"";
    for (const char c : value) text += (c == '"' || c == '\\' ? "\\" : "") + std::string(1, c);
    return text + "\"";
}

std::string_view without_blanks(std::string_view line) {
    const size_t begin = line.find_first_not_of(" \t\r");
    return begin == std::string_view::npos ? std::string_view() : line.substr(begin);
}

// Of a line "key = value".
bool sets(std::string_view line, std::string_view key) {
    if (lower(line.substr(0, key.size())) != key) return false;
    const auto rest = without_blanks(line.substr(key.size()));
    return rest.empty() || rest.front() == '=';
}

}  // namespace

std::string with_identity(const std::string& settings, const Identity& identity) {
    std::istringstream lines(settings);
    std::string kept;
    bool user = false, dropped = false, goes_on = false;
    for (std::string line; std::getline(lines, line);) {
        const bool value_of_last = goes_on;
        goes_on = line.ends_with('\\');
        const std::string_view text = without_blanks(line);
        if (!value_of_last && text.starts_with('[')) user = lower(text.substr(0, 6)) == "[user]";
        if (!value_of_last) {
            dropped = user && ((!identity.name.empty() && sets(text, "name")) ||
                               (!identity.email.empty() && sets(text, "email")));
        }
        if (!dropped) kept += line + "\n";
    }
    if (!kept.ends_with("[user]\n")) kept += "[user]\n";
    if (!identity.name.empty()) kept += "\tname = " + quoted(identity.name) + "\n";
    if (!identity.email.empty()) kept += "\temail = " + quoted(identity.email) + "\n";
    return kept;
}

}  // namespace hutch::daemon
