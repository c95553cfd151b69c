#include "client/completion.h"

#include <map>
#include <optional>
#include <sstream>
#include <utility>
#include <vector>

#include "client/contexts.h"
#include "client/format.h"
#include "client/help.h"
#include "client/place.h"
#include "client/recipes.h"

namespace hutch::client {
namespace {

struct Word {
    std::string text;
    std::string description;  ///< its first line
};
using Words = std::vector<Word>;

const Word kFiles{":files", ""};

/// Where on the command line the last word stands.
struct Spot {
    const CLI::App* command = nullptr;
    const CLI::Option* option = nullptr;   ///< whose value it is
    std::vector<std::string> positionals;  ///< before it, of that command
    bool of_box = false;                   ///< it belongs to a command for a box: no business of ours
    bool help = false;                     ///< it names a command for help
};

std::string first_line(const std::string& text) {
    return text.substr(0, text.find('\n'));
}

const CLI::App* find_command(const CLI::App& app, const std::string& word) {
    const auto found = app.get_subcommands([&](const CLI::App* sub) { return sub->check_name(word); });
    return found.empty() ? nullptr : found.front();
}

/// Which daemon is asked is said on the line that is completed.
void note_value(Program& program, const CLI::Option& option, const std::string& value) {
    if (option.check_name("--host")) program.host = value;
    if (option.check_name("--context")) program.context = value;
    if (option.check_name("--ca-file")) program.ca_file = value;
}

void step(Spot& spot, Program& program, const std::string& word) {
    if (spot.option != nullptr) return note_value(program, *std::exchange(spot.option, nullptr), word);
    const bool runs = spot.command->get_name() == "exec" || spot.command->get_name() == "run";
    if (word.starts_with('-') && word.size() > 1) {
        const CLI::Option* option = spot.command->get_option_no_throw(word);
        if (option != nullptr && option->get_items_expected_max() != 0) spot.option = option;
        spot.of_box |= word == "--";
        return;
    }
    const CLI::App* command = spot.positionals.empty() ? find_command(*spot.command, word) : nullptr;
    if (command != nullptr && !spot.help && command->get_name() == "help") {
        spot.help = true;
    } else if (command != nullptr) {
        spot.command = command;
    } else {
        spot.positionals.push_back(word);
        spot.of_box |= runs;
    }
}

/// The positional that comes after so many others; the last may come again.
const CLI::Option* next_positional(const Spot& spot) {
    const auto all = spot.command->get_options([](const CLI::Option* option) { return option->get_positional(); });
    size_t at = spot.positionals.size();
    if (!all.empty() && at >= all.size() && all.back()->get_items_expected_max() > 1) at = all.size() - 1;
    return at < all.size() ? all[at] : nullptr;
}

// --- what only the daemon knows ---

Words rows_of(const Result<Json>& answer, const char* list, const char* word, const char* description) {
    Words words;
    if (!answer.ok()) return words;
    const Json rows = list == nullptr ? answer.value() : array_of(answer.value(), list);
    for (const Json& row : rows) {
        const std::string text = text_of(row, word);
        words.push_back({text.empty() ? text_of(row, "id") : text, first_line(text_of(row, description))});
    }
    return words;
}

Words boxes(const Api& api) {
    return rows_of(api.get("/v2/box"), nullptr, "name", "status");
}

/// "web:/etc/ho" -> "web:/etc/hosts"; a box's name alone is completed to "web:".
Words places(const Api& api, const std::string& word) {
    const Place place = parse_place(word);
    Words words;
    if (!place.in_box()) {
        words.push_back(kFiles);
        for (const Word& box : boxes(api)) words.push_back({box.text + ":", box.description});
        return words;
    }
    const std::string directory = place.path.substr(0, place.path.rfind('/') + 1);
    const auto listed = api.get(box_target(place.box, "/files/list?folder=" + percent_encode(directory)));
    if (!listed.ok()) return words;
    for (const Json& file : array_of(listed.value(), "files")) {
        const bool is_directory = file.is_object() && file.value("is_dir", false);
        words.push_back({place.box + ":" + directory + text_of(file, "name") + (is_directory ? "/" : ""), ""});
    }
    return words;
}

Words snapshots(const Api& api, const Spot& spot) {
    const bool of_box = !spot.positionals.empty() && spot.option == nullptr && spot.command->get_name() == "rollback";
    const std::string target = of_box ? box_target(spot.positionals.front(), "/snapshots") : "/v2/box/snapshots";
    return rows_of(api.get(target), "snapshots", "name", "id");
}

Words contexts() {
    Words words;
    const auto known = Contexts::load();
    words.push_back({Contexts::kDefault, ""});
    if (!known.ok()) return words;
    for (const auto& [name, context] : known.value().all) words.push_back({name, context.host});
    return words;
}

Words made_by_recipe() {
    Words words;
    for (const std::string& name : recipes()) words.push_back({name, ""});
    return words;
}

/// By what the help calls it: "BOX", "small|medium|large".
Words values_of(const std::string& kind, const Spot& spot, const Program& program, const std::string& word) {
    static const std::map<std::string, std::string> kFixed = {
        {"MODE", "allow-all|deny-all|custom"},
        {"PROVIDER", "anthropic|openai|openrouter|opencode|vercel"},
        {"SHELL", "bash|zsh|fish"},
    };
    const auto fixed = kFixed.find(kind);
    std::istringstream choices(fixed == kFixed.end() ? kind : fixed->second);
    Words words;
    if (choices.str().find('|') != std::string::npos) {
        for (std::string choice; std::getline(choices, choice, '|');) words.push_back({choice, ""});
        return words;
    }
    if (kind == "FILE" || kind == "SCRIPT") return Words(1, kFiles);
    if (kind == "CONTEXT") return contexts();
    if (kind == "NAME" && spot.command->get_name() == "build") return made_by_recipe();
    const auto api = program.api();
    if (!api.ok()) return words;
    if (kind == "BOX") return boxes(api.value());
    if (kind == "IMAGE") return rows_of(api.value().get("/v2/images"), "images", "name", "parent");
    if (kind == "SNAPSHOT") return snapshots(api.value(), spot);
    if (kind == "RUN") {
        const std::string box = spot.positionals.empty() ? "" : spot.positionals.front();
        return rows_of(api.value().get(box_target(box, "/runs")), "runs", "id", "prompt");
    }
    if (kind == "SCHEDULE") {
        const std::string box = spot.positionals.empty() ? "" : spot.positionals.front();
        return rows_of(api.value().get(box_target(box, "/schedules")), nullptr, "id", "cron");
    }
    if (kind == "SRC") return places(api.value(), word);
    return words;
}

Words options_of(const CLI::App& command) {
    Words words;
    for (const CLI::Option* option : command.get_options()) {
        const std::string description = first_line(option->get_description());
        for (const std::string& text : option->get_lnames()) words.push_back({"--" + text, description});
        for (const std::string& text : option->get_snames()) words.push_back({"-" + text, description});
    }
    return words;
}

Words candidates(const Spot& spot, const Program& program, const std::string& word) {
    if (spot.of_box) return Words(1, kFiles);
    if (spot.option != nullptr) return values_of(spot.option->get_type_name(), spot, program, word);
    if (word.starts_with('-')) return options_of(*spot.command);
    Words words;
    if (spot.positionals.empty()) {
        for (const CLI::App* command : shown_commands(*spot.command)) {
            words.push_back({command->get_name(), first_line(command->get_description())});
        }
    }
    const CLI::Option* positional = spot.help ? nullptr : next_positional(spot);
    if (positional == nullptr) return words;
    const Words values = values_of(positional->get_name(true), spot, program, word);
    words.insert(words.end(), values.begin(), values.end());
    return words;
}

constexpr const char* kBash = R"SH(# hutch completion bash; load it with: source <(hutch completion bash)
_hutch() {
    # bash parts words at ':' and '=', and replaces only the last part.
    local words=() i last= line
    for ((i = 1; i <= COMP_CWORD; i++)); do
        if ((${#words[@]})) && [[ ${COMP_WORDS[i]} == [:=] || $last == [:=] ]]; then
            words[-1]+=${COMP_WORDS[i]}
        else
            words+=("${COMP_WORDS[i]}")
        fi
        last=${COMP_WORDS[i]}
    done
    local word=${words[-1]-}
    local whole=${word%"${word##*[:=]}"}
    COMPREPLY=()
    while IFS= read -r line; do
        if [[ $line == :files ]]; then
            while IFS= read -r line; do
                [[ ! -d $line ]] || line+=/
                COMPREPLY+=("${line// /\\ }")
            done < <(compgen -f -- "${word//\\ / }")
        else
            line=${line%%$'\t'*}
            COMPREPLY+=("${line#"$whole"}")
        fi
    done < <(hutch __complete "${words[@]}" 2>/dev/null)
    if [[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == *[:/] ]]; then compopt -o nospace 2>/dev/null || true; fi
}
complete -o default -F _hutch hutch
)SH";

constexpr const char* kZsh = R"SH(#compdef hutch
# hutch completion zsh; load it with: source <(hutch completion zsh)
_hutch() {
    local line entry files=
    local -a found begun # to be gone on with: no space after it
    for line in ${(f)"$(hutch __complete "${(@Q)words[2,CURRENT]}" 2>/dev/null)"}; do
        if [[ $line == :files ]]; then
            files=1
        else
            entry="${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}"
            if [[ ${line%%$'\t'*} == *[:/] ]]; then begun+=("$entry"); else found+=("$entry"); fi
        fi
    done
    (( $#found )) && _describe hutch found
    (( $#begun )) && _describe hutch begun -S ''
    [[ -n $files ]] && _files
}
if [[ $funcstack[1] == _hutch ]]; then _hutch "$@"; else compdef _hutch hutch; fi
)SH";

constexpr const char* kFish = R"SH(# hutch completion fish; load it with: hutch completion fish | source
function __hutch_complete
    set -l word (commandline -ct)
    set -l words (commandline -opc)
    set -e words[1]
    for line in (hutch __complete $words "$word" 2>/dev/null)
        if test "$line" = :files
            __fish_complete_path "$word"
        else
            echo $line
        end
    end
end
complete -c hutch -f -a '(__hutch_complete)'
)SH";

}  // namespace

std::string completion_script(Shell shell) {
    switch (shell) {
        case Shell::kBash:
            return kBash;
        case Shell::kZsh:
            return kZsh;
        case Shell::kFish:
            break;
    }
    return kFish;
}

std::string completions(const CLI::App& app, Program& program, std::span<const std::string> words) {
    if (words.empty()) return "";
    Spot spot;
    spot.command = &app;
    for (const std::string& word : words.first(words.size() - 1)) step(spot, program, word);
    const std::string& last = words.back();
    std::string lines;
    for (const Word& word : candidates(spot, program, last)) {
        if (word.text == kFiles.text) {
            lines += word.text + "\n";
        } else if (word.text.starts_with(last)) {
            lines += printable(word.text) + "\t" + printable(word.description) + "\n";
        }
    }
    return lines;
}

void add_completion_command(CLI::App& app, Program& program) {
    CLI::App* command = add_command(app, "completion", "Print a completion script for bash, zsh or fish",
                                    "source <(hutch completion bash)");
    const auto name = std::make_shared<std::string>();
    command->add_option("SHELL", *name, "bash, zsh or fish")->required()->check(CLI::IsMember({"bash", "zsh", "fish"}));
    command->callback([&program, name] {
        program.action = [name] {
            const Shell shell = *name == "bash" ? Shell::kBash : *name == "zsh" ? Shell::kZsh : Shell::kFish;
            return show(completion_script(shell));
        };
    });
}

}  // namespace hutch::client
