#include "client/build/words.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace hutch::client {
namespace {

bool is_blank(char c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

bool is_name_start(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

bool is_name_part(char c) {
    return is_name_start(c) || (c >= '0' && c <= '9');
}

/// One pass over a word. A default is a word of its own, so this calls itself, to a depth.
class Expansion {
  public:
    Expansion(std::string_view text, const Lookup& lookup, char escape)
        : text_(text), lookup_(lookup), escape_(escape) {}
    Result<std::string> whole() { return until('\0'); }

  private:
    Result<std::string> until(char stop);
    Result<void> single_quoted(std::string& out);
    Result<void> double_quoted(std::string& out);
    Result<void> variable(std::string& out);
    Result<void> braced(std::string& out);
    std::string name();
    [[nodiscard]] bool more() const { return at_ < text_.size(); }
    [[nodiscard]] Error broken(const std::string& why) const {
        return invalid("\"" + std::string(text_.substr(0, 80)) + "\" " + why);
    }

    static constexpr int kMostNested = 50;
    std::string_view text_;
    const Lookup& lookup_;
    const char escape_;
    size_t at_ = 0;
    int depth_ = 0;
};

Result<std::string> Expansion::until(char stop) {
    std::string out;
    while (more() && text_[at_] != stop) {
        const char c = text_[at_++];
        if (c == '\'') {
            TRY(single_quoted(out));
        } else if (c == '"') {
            TRY(double_quoted(out));
        } else if (c == '$') {
            TRY(variable(out));
        } else if (c == escape_) {
            if (more()) out += text_[at_++];
        } else {
            out += c;
        }
        if (out.size() > kMostExpanded) return broken("comes to more than 128 KiB");
    }
    return out;
}

Result<void> Expansion::single_quoted(std::string& out) {
    const size_t end = text_.find('\'', at_);
    if (end == std::string_view::npos) return broken("has a ' without its end");
    out += text_.substr(at_, end - at_);
    at_ = end + 1;
    return {};
}

Result<void> Expansion::double_quoted(std::string& out) {
    while (more()) {
        const char c = text_[at_++];
        if (c == '"') return {};
        if (c == '$') {
            TRY(variable(out));
        } else if (c == escape_ && more()) {
            const char next = text_[at_++];
            if (next != '"' && next != '$' && next != escape_) out += c;
            out += next;
        } else {
            out += c;
        }
        if (out.size() > kMostExpanded) return broken("comes to more than 128 KiB");
    }
    return broken("has a \" without its end");
}

std::string Expansion::name() {
    const size_t begin = at_;
    if (more() && is_name_start(text_[at_])) {
        while (more() && is_name_part(text_[at_])) ++at_;
    }
    return std::string(text_.substr(begin, at_ - begin));
}

// After the '$'.
Result<void> Expansion::variable(std::string& out) {
    if (more() && text_[at_] == '{') {
        if (++depth_ > kMostNested) return broken("nests its ${...} too deep");
        ++at_;
        TRY(braced(out));
        --depth_;
        return {};
    }
    const std::string named = name();
    if (named.empty()) {
        out += '$';
    } else {
        out += lookup_(named).value_or("");
    }
    return {};
}

// After the "${".
Result<void> Expansion::braced(std::string& out) {
    const std::string named = name();
    if (named.empty() || !more()) return broken("has a ${...} without a name or an end");
    const auto value = lookup_(named);
    char modifier = text_[at_++];
    if (modifier == '}') {
        out += value.value_or("");
        return {};
    }
    const bool empty_counts = modifier == ':';
    if (empty_counts) modifier = more() ? text_[at_++] : '\0';
    if (modifier != '-' && modifier != '+' && modifier != '?') {
        return broken("has ${" + named + "...} with a modifier that is not known; :- :+ and :? are");
    }
    const std::string word = TRY(until('}'));
    if (!more()) return broken("has a ${ without its }");
    ++at_;
    const bool set = value && !(empty_counts && value->empty());
    if (modifier == '?' && !set) return invalid(named + ": " + (word.empty() ? "is not set" : word));
    if (modifier == '+') {
        out += set ? word : "";
    } else {
        out += set ? *value : word;
    }
    return {};
}

}  // namespace

Result<std::string> expand(std::string_view text, const Lookup& lookup, char escape) {
    return Expansion(text, lookup, escape).whole();
}

std::vector<std::string> split_words(std::string_view text, char escape) {
    std::vector<std::string> words;
    std::string word;
    char quote = '\0';
    for (size_t at = 0; at < text.size(); ++at) {
        const char c = text[at];
        if (quote == '\0' && is_blank(c)) {
            if (!word.empty()) words.push_back(std::exchange(word, {}));
            continue;
        }
        word += c;
        if (c == escape && quote != '\'' && at + 1 < text.size()) {
            word += text[++at];
        } else if (quote == '\0' && (c == '\'' || c == '"')) {
            quote = c;
        } else if (c == quote) {
            quote = '\0';
        }
    }
    if (!word.empty()) words.push_back(std::move(word));
    return words;
}

std::vector<std::string> split_blanks(std::string_view text) {
    std::vector<std::string> words;
    for (size_t at = 0; at < text.size();) {
        while (at < text.size() && is_blank(text[at])) ++at;
        const size_t begin = at;
        while (at < text.size() && !is_blank(text[at])) ++at;
        if (at > begin) words.emplace_back(text.substr(begin, at - begin));
    }
    return words;
}

std::optional<std::vector<std::string>> exec_form(std::string_view text) {
    text = trimmed(text);
    if (text.empty() || text.front() != '[') return std::nullopt;
    const auto json = nlohmann::json::parse(text, nullptr, false);
    if (!json.is_array()) return std::nullopt;
    std::vector<std::string> words;
    for (const auto& word : json) {
        if (!word.is_string()) return std::nullopt;
        words.push_back(word.get<std::string>());
    }
    return words;
}

Result<std::vector<Pair>> split_pairs(std::string_view text, char escape) {
    const std::vector<std::string> words = split_words(text, escape);
    if (words.empty()) return invalid("needs NAME=VALUE");
    if (words.front().find('=') == std::string::npos) {
        const std::string_view rest = trimmed(trimmed(text).substr(words.front().size()));
        if (rest.empty()) return invalid("needs a value: " + words.front() + "=VALUE");
        return std::vector<Pair>{{words.front(), std::string(rest)}};
    }
    std::vector<Pair> pairs;
    for (const std::string& word : words) {
        const size_t equals = word.find('=');
        if (equals == std::string::npos || equals == 0) {
            return invalid("\"" + word + "\" must be NAME=VALUE; put a value that has blanks into quotes");
        }
        pairs.emplace_back(word.substr(0, equals), word.substr(equals + 1));
    }
    return pairs;
}

std::string_view trimmed(std::string_view text) {
    while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
    while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
    return text;
}

bool is_variable_name(std::string_view name) {
    return !name.empty() && is_name_start(name.front()) && std::all_of(name.begin(), name.end(), is_name_part);
}

}  // namespace hutch::client
