#include "client/build/containerfile.h"

#include <algorithm>
#include <map>
#include <optional>

#include "base/text.h"
#include "client/build/words.h"

namespace hutch::client {
namespace {

constexpr size_t kMostBytes = size_t{1} << 20;
constexpr size_t kMostInstructions = 10'000;

using Flags = std::vector<std::string>;

const std::map<std::string, Flags>& instructions() {
    static const std::map<std::string, Flags> kAll = {
        {"ADD", {"chown", "chmod", "link"}},
        {"ARG", {}},
        {"CMD", {}},
        {"COPY", {"chown", "chmod", "from", "link"}},
        {"ENTRYPOINT", {}},
        {"ENV", {}},
        {"EXPOSE", {}},
        {"FROM", {"platform"}},
        {"HEALTHCHECK", {"interval", "retries", "start-interval", "start-period", "timeout"}},
        {"LABEL", {}},
        {"MAINTAINER", {}},
        {"ONBUILD", {}},
        {"RUN", {"mount", "network"}},
        {"SHELL", {}},
        {"STOPSIGNAL", {}},
        {"USER", {}},
        {"VOLUME", {}},
        {"WORKDIR", {}},
    };
    return kAll;
}

std::string listed(const Flags& names, const std::string& before) {
    std::string all;
    for (const std::string& name : names) all += (all.empty() ? "" : ", ") + before + name;
    return all;
}

class Parser {
  public:
    Parser(const std::string& name, std::string_view text) : text_(text) { file_.name = name; }
    Result<Containerfile> run();

  private:
    std::optional<std::string_view> next_line();
    bool take_directive(std::string_view line);
    std::string logical_line(std::string_view first);
    bool continues(std::string_view& line) const;
    Result<void> instruction(unsigned line, std::string_view text);
    Result<void> take_flags(Instruction& one, std::string_view& rest) const;
    Result<void> take_heredocs(Instruction& one);
    Result<std::string> heredoc_body(const Instruction& one, const std::string& name, bool tabs_go);

    Containerfile file_;
    std::string_view text_;
    size_t at_ = 0;
    unsigned line_ = 0;  ///< of what next_line() gave last
};

std::optional<std::string_view> Parser::next_line() {
    if (at_ >= text_.size()) return std::nullopt;
    const size_t end = std::min(text_.find('\n', at_), text_.size());
    std::string_view line = text_.substr(at_, end - at_);
    at_ = end + 1;
    ++line_;
    if (line.ends_with('\r')) line.remove_suffix(1);
    return line;
}

// "# escape=`", above all else; "# syntax=" and others are another builder's.
bool Parser::take_directive(std::string_view line) {
    line = trimmed(line);
    if (!line.starts_with('#')) return false;
    line = trimmed(line.substr(1));
    const size_t equals = line.find('=');
    if (equals == std::string_view::npos) return false;
    const std::string_view value = trimmed(line.substr(equals + 1));
    if (lower(trimmed(line.substr(0, equals))) == "escape" && (value == "`" || value == "\\")) {
        file_.escape = value.front();
    }
    return true;
}

/// Whether the next line belongs to it; what says so is taken away.
bool Parser::continues(std::string_view& line) const {
    size_t end = line.size();
    while (end > 0 && (line[end - 1] == ' ' || line[end - 1] == '\t')) --end;
    if (end == 0 || line[end - 1] != file_.escape) return false;
    line = line.substr(0, end - 1);
    return true;
}

std::string Parser::logical_line(std::string_view first) {
    std::string whole;
    bool more = continues(first);
    whole += first;
    while (more) {
        auto line = next_line();
        if (!line) break;
        const std::string_view inner = trimmed(*line);
        if (inner.empty() || inner.front() == '#') continue;
        more = continues(*line);
        whole += *line;
    }
    return whole;
}

Result<void> Parser::take_flags(Instruction& one, std::string_view& rest) const {
    const Flags& known = instructions().at(one.name);
    for (rest = trimmed(rest); rest.starts_with("--"); rest = trimmed(rest)) {
        const std::string word = split_words(rest, file_.escape).front();
        rest.remove_prefix(word.size());
        if (word == "--") break;
        const size_t equals = std::min(word.find('='), word.size());
        Flag flag{word.substr(2, equals - 2), word.substr(std::min(equals + 1, word.size()))};
        if (std::find(known.begin(), known.end(), flag.name) == known.end()) {
            return file_.at(one.line,
                            one.name + " has no flag --" + flag.name + " here" +
                                (known.empty() ? std::string("; it takes none") : "; it takes " + listed(known, "--")));
        }
        if (flag.value.empty() && flag.name != "link") {
            return file_.at(one.line, "--" + flag.name + " needs a value: --" + flag.name + "=VALUE");
        }
        one.flags.push_back(std::move(flag));
    }
    return {};
}

Result<std::string> Parser::heredoc_body(const Instruction& one, const std::string& name, bool tabs_go) {
    std::string body;
    while (auto line = next_line()) {
        while (tabs_go && line->starts_with('\t')) line->remove_prefix(1);
        if (*line == name) return body;
        body += *line;
        body += '\n';
    }
    return file_.at(one.line, "<<" + name + " has no end; put a line \"" + name + "\" after its text");
}

// A word "<<NAME", "<<-NAME" or "<<'NAME'", also after the number of a descriptor.
Result<void> Parser::take_heredocs(Instruction& one) {
    if (exec_form(one.text)) return {};
    for (const std::string& word : split_words(one.text, file_.escape)) {
        const size_t mark = word.find_first_not_of("0123456789");
        if (mark == std::string::npos || word.compare(mark, 2, "<<") != 0) continue;
        std::string name = word.substr(mark + 2);
        const bool tabs_go = name.starts_with('-');
        if (tabs_go) name.erase(0, 1);
        const bool quoted =
            name.size() > 2 && (name.front() == '"' || name.front() == '\'') && name.back() == name.front();
        if (quoted) name = name.substr(1, name.size() - 2);
        if (!is_variable_name(name) && name.find_first_of("<>\"'|&;()$ ") != std::string::npos) continue;
        if (name.empty()) continue;
        std::string body = TRY(heredoc_body(one, name, tabs_go));
        one.heredocs.push_back({std::move(name), std::move(body), !quoted});
    }
    return {};
}

Result<void> Parser::instruction(unsigned line, std::string_view text) {
    text = trimmed(text);
    const size_t end = std::min(text.find_first_of(" \t"), text.size());
    Instruction one{.line = line, .name = std::string(text.substr(0, end))};
    std::transform(one.name.begin(), one.name.end(), one.name.begin(),
                   [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; });
    if (!instructions().contains(one.name)) {
        Flags names;
        for (const auto& [name, flags] : instructions()) names.push_back(name);
        return file_.at(line, "\"" + one.name.substr(0, 40) + "\" is no instruction; there are " + listed(names, ""));
    }
    if (file_.instructions.size() >= kMostInstructions) return file_.at(line, "a file has at most 10,000 instructions");
    std::string_view rest = text.substr(end);
    TRY(take_flags(one, rest));
    one.text = rest;
    if (one.text.empty()) return file_.at(line, one.name + " says nothing; give it what it is to work with");
    if (one.text.find('\0') != std::string::npos) return file_.at(line, one.name + " has a NUL character");
    if (one.name == "RUN" || one.name == "COPY" || one.name == "ADD") TRY(take_heredocs(one));
    file_.instructions.push_back(std::move(one));
    return {};
}

Result<Containerfile> Parser::run() {
    if (text_.size() > kMostBytes) return invalid(file_.name + ": is larger than 1 MiB, which no Containerfile is");
    if (text_.starts_with("\xEF\xBB\xBF")) text_.remove_prefix(3);
    bool directives = true;
    while (const auto line = next_line()) {
        if (directives && take_directive(*line)) continue;
        directives = false;
        const std::string_view inner = trimmed(*line);
        if (inner.empty() || inner.front() == '#') continue;
        const unsigned begin = line_;
        TRY(instruction(begin, logical_line(*line)));
    }
    if (file_.instructions.empty()) return invalid(file_.name + ": has no instruction; it begins with FROM IMAGE");
    return std::move(file_);
}

}  // namespace

std::string Instruction::flag(std::string_view wanted) const {
    std::string value;
    for (const Flag& one : flags) {
        if (one.name == wanted) value = one.value;
    }
    return value;
}

Error Containerfile::at(unsigned line, const std::string& sentence) const {
    return invalid(name + ":" + std::to_string(line) + ": " + sentence);
}

Error Containerfile::at(unsigned line, const Error& error) const {
    Error placed = error;
    placed.message = name + ":" + std::to_string(line) + ": " + error.message;
    return placed;
}

Result<Containerfile> parse_containerfile(const std::string& name, std::string_view text) {
    return Parser(name, text).run();
}

}  // namespace hutch::client
