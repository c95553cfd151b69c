#include <unistd.h>

#include <algorithm>

#include "client/create.h"
#include "client/format.h"
#include "client/paint.h"
#include "client/program.h"
#include "client/table.h"

namespace hutch::client {
namespace {

struct DfOptions {
    std::string box;
    bool json = false;
};

/// As df(1) would tell it in the box, if the kernel knew there of its quota.
Result<int> df_of_box(const Api& api, const DfOptions& options) {
    const Json box = TRY(api.get(box_target(options.box, "?details=1")));
    const Json disk = object_of(object_of(box, "details"), "disk");
    if (options.json) return show_json(disk);
    const uint64_t used = count_of(disk, "bytes");
    const uint64_t limit = count_of(disk, "limit_bytes");
    Table table({"BOX", "SIZE", "USED", "AVAILABLE", "USE%"});
    if (limit == 0) {
        table.add({name_of(box), std::string("not limited"), format_size(used), std::string(), std::string()});
    } else {
        const uint64_t percent = (used * 100 + limit - 1) / limit;  // rounded up, as df(1) does
        table.add({name_of(box), format_size(limit), format_size(used), format_size(limit - std::min(used, limit)),
                   std::to_string(percent) + "%"});
    }
    return show(table.text(colour_for(STDOUT_FILENO)));
}

Result<int> df(const Program& program, const DfOptions& options) {
    const Api api = TRY(program.api());
    if (!options.box.empty()) return df_of_box(api, options);
    const Json space = TRY(api.get("/v2/df"));
    if (options.json) return show_json(space);
    Table table({"KIND", "NAME", "ID", "SIZE", "SHARED", "UNIQUE"});
    bool measured = true;
    for (const Json& holder : array_of(space, "holders")) {
        measured = measured && holder.value("measured", false);
        table.add({text_of(holder, "kind"), text_of(holder, "name"), text_of(holder, "id"), size_of(holder, "bytes"),
                   size_of(holder, "shared_bytes"), size_of(holder, "unique_bytes")});
    }
    std::string text = table.text(colour_for(STDOUT_FILENO));
    text += "\n" + std::to_string(integer_of(space, "layers")) + " layers, " + size_of(space, "layer_bytes") + ". " +
            size_of(space, "free_bytes") + " of " + size_of(space, "total_bytes") + " are free in " +
            printable(text_of(space, "path")) + "\n";
    if (!measured) text += "Not everything has been added up yet: ask again in a moment.\n";
    return show(text);
}

}  // namespace

void add_df_command(CLI::App& app, Program& program) {
    const auto options = std::make_shared<DfOptions>();
    CLI::App* command = add_command(app, "df",
                                    "Show what takes how much disk\n\nImages, snapshots and boxes share layers: "
                                    "UNIQUE is what deleting one gives back,\nSHARED what others hold too. Boxes as "
                                    "last measured, at most an hour ago.\nOf one BOX: what it has written, of what it "
                                    "may. Where boxes are kept on btrfs, df(1) in\na box tells of all of them.",
                                    "hutch df\n  hutch df web");
    add_box(*command, options->box)->required(false);
    add_json_flag(*command, options->json);
    run_on(command, program, options, df);
}

}  // namespace hutch::client
