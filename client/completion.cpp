#include "client/completion.h"

#include <utility>
#include <vector>

#include "client/program.h"

namespace hutch::client {
namespace {

struct Word {
    std::string text;
    std::string description;  ///< its first line
};

/// What may come at one place of the command line. `path` is the commands typed so far, each after a space: "",
/// " image", " image build". All three scripts find the path first, then look the place up by it.
struct Spot {
    std::string path;
    std::vector<Word> commands;
    std::vector<Word> options;
    bool boxes = false;
    bool files = false;
};

std::string first_line(const std::string& text) {
    return text.substr(0, text.find('\n'));
}

void collect(const CLI::App& app, const std::string& path, std::vector<Spot>& spots) {
    Spot spot;
    spot.path = path;
    for (const CLI::Option* option : app.get_options()) {
        const std::string name = option->get_name(true);
        if (option->get_positional()) {
            spot.boxes |= name == "BOX" || name == "SRC" || name == "DST";
            spot.files |= name == "FILE" || name == "SRC" || name == "DST";
            continue;
        }
        const std::string description = first_line(option->get_description());
        for (const std::string& text : option->get_lnames()) spot.options.push_back({"--" + text, description});
        for (const std::string& text : option->get_snames()) spot.options.push_back({"-" + text, description});
    }
    const auto commands = app.get_subcommands([](const CLI::App* sub) { return !sub->get_group().empty(); });
    for (const CLI::App* sub : commands) {
        spot.commands.push_back({sub->get_name(), first_line(sub->get_description())});
    }
    spots.push_back(spot);
    for (const CLI::App* sub : commands) collect(*sub, path + " " + sub->get_name(), spots);
}

/// In single quotes, as every one of the three shells reads them.
std::string quoted(const std::string& text, Shell shell) {
    std::string value = "'";
    for (const char c : text) {
        if (c == '\'') {
            value += shell == Shell::kFish ? "\\'" : "'\\''";
        } else {
            value += c;
        }
    }
    return value + "'";
}

/// The patterns of a `case` that every command's path matches.
std::string all_paths(const std::vector<Spot>& spots, Shell shell, const std::string& separator) {
    std::string patterns;
    for (const Spot& spot : spots) {
        if (!spot.path.empty()) patterns += (patterns.empty() ? "" : separator) + quoted(spot.path, shell);
    }
    return patterns;
}

std::string bash_script(const std::vector<Spot>& spots) {
    std::string script =
        "# hutch completion bash; load it with: source <(hutch completion bash)\n"
        "_hutch() {\n"
        "    local word=${COMP_WORDS[COMP_CWORD]} at= words= boxes= i\n"
        "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
        "        case \"$at ${COMP_WORDS[i]}\" in\n"
        "        " +
        all_paths(spots, Shell::kBash, "|") +
        ") at+=\" ${COMP_WORDS[i]}\" ;;\n"
        "        esac\n"
        "    done\n"
        "    case \"$at\" in\n";
    for (const Spot& spot : spots) {
        std::string words;
        for (const Word& word : spot.commands) words += word.text + " ";
        for (const Word& word : spot.options) words += word.text + " ";
        script += "    " + quoted(spot.path, Shell::kBash) + ") words=" + quoted(words, Shell::kBash) +
                  (spot.boxes ? " boxes=1" : "") + " ;;\n";
    }
    return script +
           "    esac\n"
           "    [[ -n $boxes && $word != -* ]] && words=$(hutch __boxes 2>/dev/null)\n"
           "    COMPREPLY=($(compgen -W \"$words\" -- \"$word\"))\n"
           "}\n"
           "complete -o default -F _hutch hutch\n";
}

std::string zsh_script(const std::vector<Spot>& spots) {
    const auto described = [](const std::vector<Word>& words) {
        std::string list;
        for (const Word& word : words) list += " " + quoted(word.text + ":" + word.description, Shell::kZsh);
        return list;
    };
    std::string script =
        "#compdef hutch\n"
        "# hutch completion zsh; load it with: source <(hutch completion zsh)\n"
        "_hutch() {\n"
        "    local at= i\n"
        "    local -a commands options\n"
        "    for ((i = 2; i < CURRENT; i++)); do\n"
        "        case \"$at ${words[i]}\" in\n"
        "        " +
        all_paths(spots, Shell::kZsh, "|") +
        ") at+=\" ${words[i]}\" ;;\n"
        "        esac\n"
        "    done\n"
        "    case \"$at\" in\n";
    for (const Spot& spot : spots) {
        script += "    " + quoted(spot.path, Shell::kZsh) + ")\n";
        if (!spot.commands.empty()) script += "        commands=(" + described(spot.commands).substr(1) + ")\n";
        script += "        options=(" + described(spot.options).substr(1) + ")\n";
        if (spot.boxes) script += "        compadd -- ${(f)\"$(hutch __boxes 2>/dev/null)\"}\n";
        if (spot.files) script += "        _files\n";
        script += "        ;;\n";
    }
    return script +
           "    esac\n"
           "    (( $#commands )) && _describe command commands\n"
           "    _describe -o option options\n"
           "}\n"
           "if [[ $funcstack[1] == _hutch ]]; then _hutch \"$@\"; else compdef _hutch hutch; fi\n";
}

std::string fish_script(const std::vector<Spot>& spots) {
    std::string script =
        "# hutch completion fish; load it with: hutch completion fish | source\n"
        "function __hutch_at\n"
        "    set -l at ''\n"
        "    for word in (commandline -opc)[2..-1]\n"
        "        switch \"$at $word\"\n"
        "            case " +
        all_paths(spots, Shell::kFish, " ") +
        "\n"
        "                set at \"$at $word\"\n"
        "        end\n"
        "    end\n"
        "    test \"$at\" = \"$argv[1]\"\n"
        "end\n";
    for (const Spot& spot : spots) {
        const std::string at =
            "complete -c hutch -n " + quoted("__hutch_at " + quoted(spot.path, Shell::kFish), Shell::kFish);
        if (!spot.files) script += at + " -f\n";
        for (const Word& word : spot.commands) {
            script += at + " -a " + word.text + " -d " + quoted(word.description, Shell::kFish) + "\n";
        }
        for (const Word& word : spot.options) {
            const bool is_long = word.text.starts_with("--");
            script += at + (is_long ? " -l " + word.text.substr(2) : " -s " + word.text.substr(1)) + " -d " +
                      quoted(word.description, Shell::kFish) + "\n";
        }
        if (spot.boxes) script += at + " -a '(hutch __boxes 2>/dev/null)'\n";
    }
    return script;
}

}  // namespace

std::string completion_script(const CLI::App& app, Shell shell) {
    std::vector<Spot> spots;
    collect(app, "", spots);
    switch (shell) {
        case Shell::kBash:
            return bash_script(spots);
        case Shell::kZsh:
            return zsh_script(spots);
        case Shell::kFish:
            break;
    }
    return fish_script(spots);
}

void add_completion_command(CLI::App& app, Program& program) {
    CLI::App* command = add_command(app, "completion", "Print a completion script for bash, zsh or fish",
                                    "source <(hutch completion bash)");
    const auto name = std::make_shared<std::string>();
    command->add_option("SHELL", *name, "bash, zsh or fish")->required()->check(CLI::IsMember({"bash", "zsh", "fish"}));
    command->callback([&app, &program, name] {
        program.action = [&app, name] {
            const Shell shell = *name == "bash" ? Shell::kBash : *name == "zsh" ? Shell::kZsh : Shell::kFish;
            return show(completion_script(app, shell));
        };
    });
}

}  // namespace hutch::client
