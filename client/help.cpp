#include "client/help.h"

#include "client/program.h"
#include "client/wording.h"

namespace hutch::client {
std::vector<const CLI::App*> shown_commands(const CLI::App& parent) {
    return parent.get_subcommands([](const CLI::App* sub) { return !sub->get_group().empty(); });
}

std::string commands_below(const CLI::App& parent) {
    std::string names;
    for (const CLI::App* command : shown_commands(parent)) names += (names.empty() ? "" : ", ") + command->get_name();
    return names;
}

std::string no_command(const CLI::App& parent, const std::string& path, const std::string& word) {
    std::vector<std::string> known;
    for (const CLI::App* command : shown_commands(parent)) {
        known.push_back(command->get_name());
        for (const std::string& alias : command->get_aliases()) known.push_back(alias);
    }
    const std::string meant = meant_by(word, known);
    return "there is no command \"" + word + "\"" +
           (meant.empty() ? "" : "; did you mean `" + path + " " + meant + "`?");
}

Result<std::string> help_of(const CLI::App& app, const std::vector<std::string>& words) {
    const CLI::App* command = &app;
    std::string path = app.get_name();
    for (const std::string& word : words) {
        const auto subcommands = command->get_subcommands([&](const CLI::App* sub) { return sub->check_name(word); });
        if (subcommands.empty()) return invalid(no_command(*command, path, word) + " (see `" + path + " --help`)");
        command = subcommands.front();
        path += " " + command->get_name();
    }
    return app.get_formatter()->make_help(command, path, CLI::AppFormatMode::Normal);
}

void add_help_command(CLI::App& app, Program& program) {
    CLI::App* command = add_command(app, "help", "Print the help of a command", "hutch help image build");
    const auto words = std::make_shared<std::vector<std::string>>();
    command->add_option("COMMAND", *words, "Its name; none: all commands");
    command->callback([&app, &program, words] {
        program.action = [&app, words]() -> Result<int> { return show(TRY(help_of(app, *words))); };
    });
}

}  // namespace hutch::client
