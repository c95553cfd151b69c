#include <unistd.h>

#include <iostream>
#include <map>

#include "client/create.h"
#include "client/format.h"
#include "client/selection.h"

namespace hutch::client {
namespace {

struct RemoveOptions {
    std::vector<std::string> boxes;
    Selection selection;
    bool force = false;
};

/// Asked on a terminal, where whoever is asked has seen the list.
Result<bool> confirmed(const Json& boxes) {
    if (isatty(STDIN_FILENO) != 1 || isatty(STDERR_FILENO) != 1) {
        return invalid("nobody is there to be asked; say --force to delete " + std::to_string(boxes.size()) + " boxes");
    }
    for (const Json& box : boxes) {
        const std::string line = name_of(box) + "  " + text_of(box, "status") + "  " + text_of(box, "runtime");
        std::cerr << "  " << printable(line) << "\n";
    }
    std::cerr << "Delete these " << boxes.size() << " boxes with all that is in them? [y/N] " << std::flush;
    std::string answer;
    std::getline(std::cin, answer);
    return answer == "y" || answer == "Y" || answer == "yes";
}

/// Prints the names of those that are gone. One that somebody else has deleted meanwhile is no error.
Result<int> remove_all(const Program& program, const Api& api, const Json& boxes) {
    std::vector<std::string> names;
    std::map<std::string, std::string> ids;  // another may be called so by now
    for (const Json& box : boxes) {
        names.push_back(name_of(box));
        ids[names.back()] = text_of(box, "id");
    }
    return for_each_box(program, names, [&](const std::string& name) -> Result<void> {
        const auto removed = api.call("DELETE", box_target(ids[name]));
        if (!removed.ok() && removed.error().kind != ErrorKind::kNotFound) return removed.error();
        TRY(show(printable(name) + "\n"));
        return {};
    });
}

Result<int> remove_selected(const Program& program, const Api& api, const RemoveOptions& options, const Json& boxes) {
    if (boxes.empty()) return 0;
    if (!options.force && !TRY(confirmed(boxes))) return Error{ErrorKind::kSystem, 0, "nothing is deleted"};
    return remove_all(program, api, boxes);
}

Result<int> remove_named(const Program& program, const Api& api, const RemoveOptions& options) {
    for (const std::string& box : options.boxes) {
        // What the API calls so is not a box, and deleting it deletes all.
        if (box == "snapshots") return invalid("BOX: \"snapshots\" is no box's name; snapshots: hutch snapshot rm");
    }
    const bool several = options.boxes.size() > 1;
    if (several && !options.force) TRY(check_boxes(api, options.boxes));
    return for_each_box(program, options.boxes, [&](const std::string& box) -> Result<void> {
        const auto removed = api.call("DELETE", box_target(box));
        const bool missing = !removed.ok() && removed.error().kind == ErrorKind::kNotFound;
        if (!removed.ok() && !(missing && (several || options.force))) return removed.error();
        return {};
    });
}

Result<int> remove(const Program& program, const RemoveOptions& options) {
    if (options.boxes.empty() && options.selection.empty()) return invalid("BOX, --label or --filter must say which");
    if (!options.boxes.empty() && !options.selection.empty()) {
        return invalid("BOX: names boxes, and --label or --filter picks them; use one of the two");
    }
    const Api api = TRY(program.api());
    if (!options.boxes.empty()) return remove_named(program, api, options);
    return remove_selected(program, api, options, TRY(select_boxes(api, options.selection)));
}

/// A box that nobody works with: it is paused, or cannot be started.
Result<int> prune(const Program& program, const RemoveOptions& options) {
    const Api api = TRY(program.api());
    const Json boxes = TRY(select_boxes(api, options.selection));
    Json unused = Json::array();
    for (const Json& box : boxes) {
        const std::string status = text_of(box, "status");
        if (status == "paused" || status == "error") unused.push_back(box);
    }
    return remove_selected(program, api, options, unused);
}

}  // namespace

void add_remove_commands(CLI::App& app, Program& program) {
    const auto named = std::make_shared<RemoveOptions>();
    CLI::App* command = add_command(app, "rm",
                                    "Delete boxes with all that is in them\n\nThose that --label or --filter picks are "
                                    "listed and asked about first, on a terminal;\nwithout one, --force must be said.",
                                    "hutch rm web worker\n  hutch rm --label ci --label old");
    command->add_option("BOX", named->boxes, "Names or ids of the boxes");
    add_selection(*command, named->selection);
    command->add_flag("-f,--force,-y,--yes", named->force, "Do not ask; a box that does not exist is no error");
    run_on(command, program, named, remove);

    const auto unused = std::make_shared<RemoveOptions>();
    command = add_command(app, "prune",
                          "Delete the boxes that nobody uses: those that are paused or failed\n\nThey are listed and "
                          "asked about first, on a terminal; without one, --force must be said.\nThe names of those "
                          "that are gone are printed.",
                          "hutch prune --filter 'name=worker-*'");
    add_selection(*command, unused->selection);
    command->add_flag("-f,--force,-y,--yes", unused->force, "Do not ask");
    run_on(command, program, unused, prune);
}

}  // namespace hutch::client
