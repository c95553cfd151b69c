#include "client/program.h"

#include "client/format.h"

namespace hutch::client {
namespace {

struct LabelOptions {
    std::string box;
    std::vector<std::string> labels;
    bool json = false;
};

// All of them or none: one call.
Result<int> change_labels(const Program& program, const LabelOptions& options, const char* method) {
    const Api api = TRY(program.api());
    TRY(api.call(method, box_target(options.box, "/config/labels"), {{"labels", options.labels}}));
    return 0;
}

Result<int> add_labels(const Program& program, const LabelOptions& options) {
    return change_labels(program, options, "POST");
}

Result<int> remove_labels(const Program& program, const LabelOptions& options) {
    return change_labels(program, options, "DELETE");
}

Result<int> list_labels(const Program& program, const LabelOptions& options) {
    const Api api = TRY(program.api());
    const Json labels = array_of(TRY(api.get(box_target(options.box))), "labels");
    if (options.json) return show_json(labels);
    std::string lines;
    for (const Json& label : labels) {
        if (label.is_string()) lines += printable(label.get<std::string>()) + "\n";
    }
    return show(lines);
}

}  // namespace

void add_label_commands(CLI::App& app, Program& program) {
    CLI::App* label =
        add_command(app, "label", "Words to find boxes by: `hutch ls --label`", "hutch label add web team:a");
    label->require_subcommand(1);
    const auto options = std::make_shared<LabelOptions>();

    CLI::App* command =
        add_command(*label, "add", "Give a box labels, five at most", "hutch label add web team:a beta");
    add_box(*command, options->box);
    command->add_option("LABEL", options->labels, "Letters, digits and . _ - : =; at most 20")->required();
    run_on(command, program, options, add_labels);

    command = add_command(*label, "rm", "Take labels from a box", "hutch label rm web beta");
    add_box(*command, options->box);
    command->add_option("LABEL", options->labels, "Those it has")->required();
    run_on(command, program, options, remove_labels);

    command = add_command(*label, "ls", "List the labels of a box", "hutch label ls web");
    add_box(*command, options->box);
    add_json_flag(*command, options->json);
    run_on(command, program, options, list_labels);
}

}  // namespace hutch::client
