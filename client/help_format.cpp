#include "client/help_format.h"

namespace hutch::client {
namespace {

class HelpFormatter : public CLI::Formatter {
  public:
    HelpFormatter() {
        column_width(28);
        label("Positionals", "Arguments");
        label("SUBCOMMAND", "COMMAND");
        label("OPTIONS", "options");
    }
    std::string make_description(const CLI::App* app) const override { return app->get_description() + "\n\n"; }
    /// In the list of commands: the first line of what its own help says.
    std::string make_subcommand(const CLI::App* command) const override {
        std::stringstream line;
        const std::string description = command->get_description();
        CLI::detail::format_help(line, command->get_name(), description.substr(0, description.find('\n')),
                                 get_column_width());
        return line.str();
    }
    std::string make_option_opts(const CLI::Option* option) const override {
        if (option->get_positional() || option->get_items_expected_max() == 0) return "";
        return " " + option->get_type_name();
    }
};

}  // namespace

std::shared_ptr<CLI::FormatterBase> make_help_formatter() {
    return std::make_shared<HelpFormatter>();
}

}  // namespace hutch::client
