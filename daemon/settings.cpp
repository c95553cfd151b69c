#include "daemon/settings.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "daemon/options.h"
#include "daemon/toml.h"
#include "daemon/trusted_file.h"

namespace hutch::daemon {
namespace {

const std::map<std::string, Subcommand> kCommands = {{"doctor", Subcommand::kDoctor},
                                                     {"check-config", Subcommand::kCheckConfig},
                                                     {"example-config", Subcommand::kExampleConfig},
                                                     {"--help", Subcommand::kHelp},
                                                     {"-h", Subcommand::kHelp},
                                                     {"--version", Subcommand::kVersion}};

// Of characters to be put in, left out or changed that make one word the other (Levenshtein's).
size_t distance(std::string_view from, std::string_view to) {
    std::vector<size_t> row(to.size() + 1);
    std::iota(row.begin(), row.end(), 0);
    for (size_t i = 0; i < from.size(); ++i) {
        size_t diagonal = std::exchange(row[0], i + 1);
        for (size_t j = 0; j < to.size(); ++j) {
            const size_t changed = diagonal + (from[i] == to[j] ? 0 : 1);
            diagonal = std::exchange(row[j + 1], std::min({changed, row[j] + 1, row[j + 1] + 1}));
        }
    }
    return row.back();
}

/// Takes values into a Config, from the command line first.
class SettingReader {
  public:
    explicit SettingReader(Settings& settings) : settings_(settings), options_(options_of(settings.config)) {}

    void read_arguments(std::span<const char* const> arguments);
    void read_file();

  private:
    void read_argument(const std::string& name, std::optional<std::string> value, std::span<const char* const>& rest);
    void read_entry(const TomlEntry& entry);
    void take(const Setting& option, const std::string& value, const std::string& shown, const std::string& origin);
    void complain(std::string what) { settings_.problems.push_back(std::move(what)); }
    [[nodiscard]] const Setting* find(const std::string& name) const;
    [[nodiscard]] std::string nearest(const std::string& name, const std::string& dashes) const;

    Settings& settings_;
    std::vector<Setting> options_;
    std::optional<std::string> file_;
};

const Setting* SettingReader::find(const std::string& name) const {
    const auto found = std::find_if(options_.begin(), options_.end(), [&](const Setting& o) { return o.name == name; });
    return found == options_.end() ? nullptr : &*found;
}

std::string SettingReader::nearest(const std::string& name, const std::string& dashes) const {
    constexpr size_t kFar = 3;
    const auto best = std::min_element(options_.begin(), options_.end(), [&](const Setting& a, const Setting& b) {
        return distance(name, a.name) < distance(name, b.name);
    });
    if (distance(name, best->name) >= std::min(kFar, name.size())) return "; see hutchd --help";
    return fmt::format("; did you mean '{}{}'?", dashes, best->name);
}

void SettingReader::take(const Setting& option, const std::string& value, const std::string& shown,
                         const std::string& origin) {
    if (!option.set(value)) return complain(fmt::format("{} must be {}, not '{}'", shown, option.allowed, value));
    settings_.origins[option.name] = origin;
}

void SettingReader::read_argument(const std::string& name, std::optional<std::string> value,
                                  std::span<const char* const>& rest) {
    const Setting* const option = find(name);
    if (option == nullptr && name != "config") {
        return complain(fmt::format("unknown option '--{}'{}", name, nearest(name, "--")));
    }
    if (option != nullptr && option->type == TomlType::kFlag && !value) value = "true";
    if (!value) {
        if (rest.empty()) return complain(fmt::format("--{}: needs a value", name));
        value = rest.front();
        rest = rest.subspan(1);
    }
    if (option == nullptr ? file_.has_value() : settings_.origins.contains(name)) {
        return complain(fmt::format("--{}: is given twice", name));
    }
    if (option == nullptr) {
        file_ = value;
    } else {
        take(*option, *value, "--" + name + ":", "command line");
    }
}

void SettingReader::read_arguments(std::span<const char* const> arguments) {
    bool named = false;
    while (!arguments.empty()) {
        const std::string argument = arguments.front();
        arguments = arguments.subspan(1);
        const auto command = kCommands.find(argument);
        if (command != kCommands.end()) {
            if (std::exchange(named, true)) complain(fmt::format("'{}': one command at a time", argument));
            settings_.subcommand = command->second;
        } else if (argument.starts_with("--") && argument.size() > 2) {
            const size_t sign = argument.find('=');
            std::optional<std::string> value;
            if (sign != std::string::npos) value = argument.substr(sign + 1);
            read_argument(argument.substr(2, sign == std::string::npos ? sign : sign - 2), value, arguments);
        } else {
            complain(fmt::format("unknown command '{}'; see hutchd --help", argument));
        }
    }
}

void SettingReader::read_entry(const TomlEntry& entry) {
    const std::string origin = fmt::format("{}:{}", *file_, entry.line);
    const Setting* const option = find(entry.name);
    if (option == nullptr) {
        return complain(fmt::format("{}: unknown option '{}'{}", origin, entry.name, nearest(entry.name, "")));
    }
    const auto before = settings_.origins.find(entry.name);
    if (before != settings_.origins.end()) {
        if (before->second == "command line") return;
        return complain(fmt::format("{}: '{}' was set in {} already", origin, entry.name, before->second));
    }
    if (entry.type != option->type) {
        const char* const written = option->type == TomlType::kText ? "in quotes" : "without quotes";
        return complain(
            fmt::format("{}: {} must be {}, {}, not '{}'", origin, entry.name, option->allowed, written, entry.value));
    }
    take(*option, entry.value, fmt::format("{}: {}", origin, entry.name), origin);
}

void SettingReader::read_file() {
    const bool asked = file_.has_value();
    if (!asked) file_ = kConfigFile;
    const auto text = read_trusted(*file_, kOthersMayWrite);
    if (!text.ok()) {
        if (asked || text.error().code != ENOENT) complain("the configuration: " + text.error().message);
        return;
    }
    const TomlFile file = parse_toml(text.value());
    for (const TomlProblem& problem : file.problems) {
        complain(fmt::format("{}:{}: {}", *file_, problem.line, problem.what));
    }
    for (const TomlEntry& entry : file.entries) read_entry(entry);
}

// Words at most `width` characters a line, each line behind `margin`.
std::string wrapped(const std::string& text, const std::string& margin, size_t width) {
    std::string all;
    std::string line;
    size_t at = 0;
    while (at < text.size()) {
        const size_t end = std::min(text.find(' ', at), text.size());
        const std::string word = text.substr(at, end - at);
        at = end + 1;
        if (!line.empty() && line.size() + 1 + word.size() > width) all += margin + std::exchange(line, "") + "\n";
        line += (line.empty() ? "" : " ") + word;
    }
    return all + margin + line + "\n";
}

// As built, whatever the host: what its memory decides is left out.
Config defaults() {
    Config config;
    config.memory_budget = 0;
    return config;
}

}  // namespace

Settings read_settings(std::span<const char* const> arguments) {
    Settings settings;
    SettingReader reader(settings);
    reader.read_arguments(arguments);
    if (settings.subcommand == Subcommand::kServe || settings.subcommand == Subcommand::kDoctor ||
        settings.subcommand == Subcommand::kCheckConfig) {
        reader.read_file();
    }
    return settings;
}

std::string describe(const Settings& settings) {
    std::string all;
    Config config = settings.config;
    for (const Setting& option : options_of(config)) {
        const std::string value = option.get();
        const auto origin = settings.origins.find(option.name);
        const std::string line = value.empty()
                                     ? fmt::format("# {} is not set", option.name)
                                     : fmt::format("{} = {}  # {}", option.name, value,
                                                   origin == settings.origins.end() ? "default" : origin->second);
        all += line + "\n";
    }
    return all;
}

std::string example_config() {
    std::string all =
        "# What hutchd may be told, with the defaults. It is read from " + std::string(kConfigFile) +
        ", owned by root and written\n# by nobody else; `hutchd check-config` tells what is in force. Made by: hutchd "
        "example-config\n";
    Config config = defaults();
    for (const Setting& option : options_of(config)) {
        const std::string value = option.get();
        all += "\n" + wrapped(option.help + ".", "# ", 118) + "# Must be " + option.allowed + ".\n";
        all += fmt::format("#{} = {}\n", option.name, value.empty() ? "\"\"  # not set" : value);
    }
    return all;
}

std::string help_text() {
    std::string all =
        "hutchd: computers for agents, made by the kernel of this host\n\n"
        "Usage: hutchd [OPTION...]            serves\n"
        "       hutchd doctor [OPTION...]     tells whether this host can run boxes, and how to mend what is missing\n"
        "       hutchd check-config [OPTION...]\n"
        "                                     prints the configuration in force; fails if anything in it is wrong\n"
        "       hutchd example-config         prints a configuration file with every option\n"
        "       hutchd --help | --version\n\n"
        "Options; each is also a line NAME = VALUE of the configuration file\n"
        "  --config FILE\n" +
        wrapped(fmt::format("The configuration file, as TOML (default: {})", kConfigFile), "      ", 94);
    Config config = defaults();
    for (const Setting& option : options_of(config)) {
        const std::string value = option.get();
        all += "  --" + option.name + (option.type == TomlType::kFlag ? "" : " VALUE") + "\n";
        all += wrapped(option.help + (value.empty() ? "" : " (default: " + value + ")"), "      ", 94);
    }
    return all;
}

}  // namespace hutch::daemon
