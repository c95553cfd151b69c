#include <unistd.h>

#include <ctime>
#include <map>

#include "client/create.h"
#include "client/format.h"
#include "client/image_push.h"
#include "client/image_save.h"
#include "client/paint.h"
#include "client/program.h"
#include "client/table.h"

namespace hutch::client {
namespace {

struct SnapshotOptions {
    std::string box, name;
    std::vector<std::string> ids;
    bool json = false;
};

Result<int> take(const Program& program, const SnapshotOptions& options) {
    const Api api = TRY(program.api());
    const Json snapshot =
        TRY(api.call("POST", box_target(options.box, "/snapshots"), {{"name", options.name}, {"unique", true}}));
    return options.json ? show_json(snapshot) : show(printable(text_of(snapshot, "id")) + "\n");
}

Result<int> list_snapshots(const Program& program, const SnapshotOptions& options) {
    const Api api = TRY(program.api());
    const Json answer = TRY(api.get(options.box.empty() ? "/v2/box/snapshots" : box_target(options.box, "/snapshots")));
    if (options.json) return show_json(answer);
    std::map<std::string, std::string> names;  // of the boxes that still are
    for (const Json& box : TRY(api.get("/v2/box?all=1"))) names[text_of(box, "id")] = name_of(box);
    Table table({"ID", "NAME", "BOX", "AGE", "SIZE"});
    for (const Json& snapshot : array_of(answer, "snapshots")) {
        const std::string box = text_of(snapshot, "box_id");
        const auto named = names.find(box);
        table.add({text_of(snapshot, "id"), text_of(snapshot, "name"), named == names.end() ? box : named->second,
                   format_duration(time(nullptr) - integer_of(snapshot, "created_at")),
                   size_of(snapshot, "size_bytes")});
    }
    return show(table.text(colour_for(STDOUT_FILENO)));
}

Result<int> remove_snapshots(const Program& program, const SnapshotOptions& options) {
    const Api api = TRY(program.api());
    TRY(api.call("DELETE", "/v2/box/snapshots", {{"ids", options.ids}}));
    return 0;
}

struct ForkOptions {
    std::string box, name;
    unsigned count = 1;
    bool json = false;
};

Result<int> fork(const Program& program, const ForkOptions& options) {
    Json body{{"count", options.count}};
    if (!options.name.empty()) body["name"] = options.name;
    const Api api = TRY(program.api());
    const Json answer = TRY(api.call("POST", box_target(options.box, "/fork"), body));
    if (options.json) return show_json(answer);
    std::string lines;
    for (const Json& box : array_of(answer, "boxes")) {
        lines += printable(text_of(box, options.name.empty() ? "id" : "name")) + "\n";
    }
    return show(lines);
}

struct RollbackOptions {
    std::string box, snapshot;
};

Result<int> roll_back(const Program& program, const RollbackOptions& options) {
    const Api api = TRY(program.api());
    TRY(api.call("POST", box_target(options.box, "/rollback"), {{"snapshot_id", options.snapshot}}));
    return 0;
}

struct DiffOptions {
    std::string box, against;
    bool json = false;
    bool tar = false;
};

Result<int> diff_tar(const Api& api, const std::string& box, const std::string& target) {
    if (isatty(STDOUT_FILENO) != 0)
        return invalid("--tar writes an archive to standard output; send it to a file or a pipe");
    Response response = TRY(api.open({.method = "GET", .target = target}));
    const auto poured = pour(response, STDOUT_FILENO, "standard output");
    if (!poured.ok() && poured.error().code == 0) {
        return Error{ErrorKind::kSystem, 0, poured.error().message + "; `hutch logs " + box + "` may say why"};
    }
    TRY(poured);
    return 0;
}

Result<int> diff(const Program& program, const DiffOptions& options) {
    const std::string query = options.against.empty() ? "" : "?against=" + percent_encode(options.against);
    const Api api = TRY(program.api());
    if (options.tar) {
        return diff_tar(api, options.box,
                        box_target(options.box, "/diff" + query + (query.empty() ? "?" : "&") + "format=tar"));
    }
    const Json answer = TRY(api.get(box_target(options.box, "/diff" + query)));
    if (options.json) return show_json(answer);
    const Colour colour = colour_for(STDOUT_FILENO);
    std::string lines;
    for (const Json& change : array_of(answer, "changes")) {
        const std::string kind = text_of(change, "change");
        const bool directory = text_of(change, "type") == "directory";
        std::string path = printable(text_of(change, "path"));
        if (directory && path != "/") path += "/";
        const Tone tone = kind == "added" ? Tone::kGood : kind == "deleted" ? Tone::kBad : Tone::kWarning;
        lines += paint(printable(kind + std::string(10 - std::min<size_t>(kind.size(), 9), ' ')), tone, colour) + path +
                 "\n";
    }
    return show(lines);
}

void add_snapshot(CLI::App& app, Program& program) {
    CLI::App* snapshot =
        add_command(app, "snapshot", "Keep the files of boxes as they are", "hutch snapshot create web deps-installed");
    snapshot->require_subcommand(1);

    auto options = std::make_shared<SnapshotOptions>();
    CLI::App* command =
        add_command(*snapshot, "create",
                    "Keep the files of a box as they are now, and print the snapshot's id\n\nWhat runs in "
                    "the box goes on. `hutch create --snapshot NAME` makes boxes from it.",
                    "hutch snapshot create web deps-installed");
    add_box(*command, options->box);
    command->add_option("NAME", options->name, "What to call it; of a box no two are called alike")->required();
    add_json_flag(*command, options->json);
    run_on(command, program, options, take);

    options = std::make_shared<SnapshotOptions>();
    command = add_command(*snapshot, "ls", "List snapshots, of one box or all", "hutch snapshot ls web");
    add_box(*command, options->box)->required(false);
    add_json_flag(*command, options->json);
    run_on(command, program, options, list_snapshots);

    options = std::make_shared<SnapshotOptions>();
    command = add_command(*snapshot, "rm", "Delete snapshots; boxes made from them keep their files",
                          "hutch snapshot rm deps-installed");
    command->add_option("SNAPSHOT", options->ids, "Their names or ids")->required();
    run_on(command, program, options, remove_snapshots);

    add_snapshot_export(*snapshot, program);
    add_snapshot_push(*snapshot, program);
}

}  // namespace

void add_snapshot_commands(CLI::App& app, Program& program) {
    add_snapshot(app, program);

    const auto forked = std::make_shared<ForkOptions>();
    CLI::App* command =
        add_command(app, "fork",
                    "Make boxes on the files that a box has now, and print their names (or ids)\n\nWhat "
                    "runs in the box goes on there, and is not in the new ones.",
                    "hutch fork web --count 10 --name worker");
    add_box(*command, forked->box);
    command->add_option("--count", forked->count, "How many")->check(CLI::Range(1U, 1000U));
    command->add_option("--name", forked->name, "They are called NAME-1, NAME-2, ...");
    add_json_flag(*command, forked->json);
    run_on(command, program, forked, fork);

    const auto compared = std::make_shared<DiffOptions>();
    command = add_command(app, "diff",
                          "List what a box has changed\n\nOf its image, or of any snapshot. Times alone are no\n"
                          "change; a deleted directory is one line.",
                          "hutch diff web\n  hutch diff web --tar | tar -tv");
    add_box(*command, compared->box);
    command->add_option("--against", compared->against, "A snapshot, by its name or id")->type_name("SNAPSHOT");
    add_json_flag(*command, compared->json);
    command->add_flag("--tar", compared->tar, "Write the changed files as a tar archive, deleted ones as .wh.NAME");
    run_on(command, program, compared, diff);

    const auto rolled = std::make_shared<RollbackOptions>();
    command = add_command(app, "rollback", "Give a box the files of one of its snapshots\n\nWhat runs in it ends.",
                          "hutch rollback web deps-installed");
    add_box(*command, rolled->box);
    command->add_option("SNAPSHOT", rolled->snapshot, "Its name or id, of `hutch snapshot ls`")->required();
    run_on(command, program, rolled, roll_back);
}

}  // namespace hutch::client
