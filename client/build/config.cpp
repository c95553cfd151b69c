#include "client/build/config.h"

#include <algorithm>
#include <charconv>

#include "base/text.h"
#include "client/build/patterns.h"

namespace hutch::client {
namespace {

constexpr const char* kPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

bool is_port(std::string_view text) {
    uint16_t number = 0;
    const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), number);
    return failed == std::errc() && end == text.data() + text.size() && number != 0;
}

}  // namespace

void ImageConfig::set(const std::string& name, const std::string& value) {
    const auto found = std::find_if(env.begin(), env.end(), [&name](const Pair& pair) { return pair.first == name; });
    if (found != env.end()) {
        found->second = value;
    } else {
        env.emplace_back(name, value);
    }
}

std::string ImageConfig::run_user() const {
    if (!user.empty()) return user;
    return base_user.empty() || base_user == "boxuser" ? "root" : base_user;
}

std::string ImageConfig::run_folder() const {
    if (!workdir.empty()) return workdir;
    return base_workdir.empty() || base_workdir == "/workspace/home" ? "/" : base_workdir;
}

std::optional<std::string> StageWords::value_of(const std::string& name) const {
    for (const auto& [known, value] : config_.env) {
        if (known == name) return value;
    }
    const auto argument = arguments_.find(name);
    if (argument != arguments_.end()) return argument->second;
    return name == "PATH" ? std::optional<std::string>(kPath) : std::nullopt;
}

Result<std::string> StageWords::expanded(const Instruction& one, std::string_view text) const {
    auto word = expand(
        text, [this](const std::string& name) { return value_of(name); }, plan_.file.escape);
    if (!word.ok()) return plan_.file.at(one.line, one.name + " " + word.error().message);
    return word;
}

Result<std::vector<std::string>> StageWords::words(const Instruction& one) const {
    const auto json = exec_form(one.text);
    std::vector<std::string> all;
    for (const std::string& word : json ? *json : split_blanks(one.text)) {
        all.push_back(heredoc_of(one, word) != nullptr ? word : TRY(expanded(one, word)));
    }
    return all;
}

const Heredoc* StageWords::heredoc_of(const Instruction& one, const std::string& word) {
    for (const Heredoc& heredoc : one.heredocs) {
        for (const std::string mark : {"", "-"}) {
            for (const std::string quote : {"", "'", "\""}) {
                if (word == "<<" + mark + quote + heredoc.name + quote) return &heredoc;
            }
        }
    }
    return nullptr;
}

std::string StageWords::absolute(const std::string& path) const {
    const std::string whole = lexical_path(path.starts_with('/') ? path : config_.run_folder() + "/" + path);
    return whole.empty() ? "/" : whole;
}

std::vector<Pair> StageWords::run_env() const {
    std::vector<Pair> all;
    for (const auto& [name, value] : plan_.given) {
        if (is_proxy_argument(name)) all.emplace_back(name, value);
    }
    for (const auto& [name, value] : arguments_) all.emplace_back(name, value);
    for (const Pair& variable : config_.env) {
        std::erase_if(all, [&variable](const Pair& other) { return other.first == variable.first; });
        all.push_back(variable);
    }
    return all;
}

// Of a stage what an ARG above the first FROM says holds only where the stage names it again.
Result<void> StageWords::set_argument(const Instruction& one) {
    for (const std::string& word : split_words(one.text, plan_.file.escape)) {
        const size_t equals = std::min(word.find('='), word.size());
        const std::string name = word.substr(0, equals);
        if (!is_variable_name(name)) return plan_.file.at(one.line, "ARG \"" + name + "\" is no name of a variable");
        const auto given = plan_.given.find(name);
        const auto global = plan_.globals.find(name);
        const auto platform = platform_arguments().find(name);
        if (given != plan_.given.end()) {
            arguments_[name] = given->second;
        } else if (equals < word.size()) {
            arguments_[name] = TRY(expanded(one, word.substr(equals + 1)));
        } else if (global != plan_.globals.end()) {
            arguments_[name] = global->second;
        } else if (platform != platform_arguments().end()) {
            arguments_[name] = platform->second;
        }
    }
    return {};
}

Result<void> StageWords::set_pairs(const Instruction& one) {
    const auto pairs = split_pairs(one.text, plan_.file.escape);
    if (!pairs.ok()) return plan_.file.at(one.line, one.name + " " + pairs.error().message);
    std::vector<Pair> all;  // each sees what was before all of them
    for (const auto& [name, value] : pairs.value()) {
        std::string said = TRY(expanded(one, name));
        all.emplace_back(std::move(said), TRY(expanded(one, value)));
    }
    for (auto& [name, value] : all) {
        if (one.name == "LABEL") {
            config_.labels[name] = value;
        } else if (name.empty() || name.find('=') != std::string::npos) {
            return plan_.file.at(one.line, "ENV \"" + name + "\" is no name of a variable");
        } else {
            config_.set(name, value);
        }
    }
    return {};
}

Result<void> StageWords::set_ports(const Instruction& one) {
    for (const std::string& word : split_blanks(TRY(expanded(one, one.text)))) {
        const size_t slash = std::min(word.find('/'), word.size());
        const std::string protocol = slash < word.size() ? lower(word.substr(slash + 1)) : "tcp";
        const std::string ports = word.substr(0, slash);
        const bool known = protocol == "tcp" || protocol == "udp" || protocol == "sctp";
        if (!known || !is_port(ports)) {
            return plan_.file.at(one.line, "EXPOSE \"" + word +
                                               "\" must be a port, or one with /tcp or /udp; name each "
                                               "port of a range by itself");
        }
        const std::string port = ports + "/" + protocol;
        if (std::find(config_.ports.begin(), config_.ports.end(), port) == config_.ports.end()) {
            config_.ports.push_back(port);
        }
    }
    return {};
}

/// The exec form as it is; the other by the stage's shell.
Result<std::vector<std::string>> StageWords::command_of(const Instruction& one) const {
    if (auto words = exec_form(one.text)) return *std::move(words);
    std::vector<std::string> words = config_.shell;
    words.push_back(one.text);
    return words;
}

Result<std::string> StageWords::apply(const Instruction& one) {
    const std::string& name = one.name;
    if (name == "ARG") {
        TRY(set_argument(one));
    } else if (name == "ENV" || name == "LABEL") {
        TRY(set_pairs(one));
    } else if (name == "EXPOSE") {
        TRY(set_ports(one));
    } else if (name == "USER") {
        config_.user = TRY(expanded(one, one.text));
    } else if (name == "WORKDIR") {
        config_.workdir = absolute(TRY(expanded(one, one.text)));
    } else if (name == "CMD") {
        config_.cmd = TRY(command_of(one));
        cmd_said_ = true;
    } else if (name == "ENTRYPOINT") {
        config_.entrypoint = TRY(command_of(one));
        if (!cmd_said_) config_.cmd.clear();  // it is the base's, for another program
    } else if (name == "SHELL") {
        const auto words = exec_form(one.text);
        if (!words || words->empty()) {
            return plan_.file.at(one.line, "SHELL must be a JSON array, as SHELL [\"/bin/bash\", \"-c\"]");
        }
        config_.shell = *words;
    } else if (name == "VOLUME") {
        return std::string("VOLUME has no effect: what is there stays in the box's own files");
    } else {
        return name + " has no effect: nothing here acts on it";
    }
    return std::string();
}

bool makes_files(const Instruction& one) {
    return one.name == "RUN" || one.name == "COPY" || one.name == "ADD";
}

}  // namespace hutch::client
