#include <unistd.h>

#include "client/format.h"
#include "client/paint.h"
#include "client/program.h"
#include "client/table.h"

namespace hutch::client {
namespace {

struct DfOptions {
    bool json = false;
};

Result<int> df(const Program& program, const DfOptions& options) {
    const Api api = TRY(program.api());
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
                                    "last measured, at most an hour ago.",
                                    "hutch df");
    add_json_flag(*command, options->json);
    run_on(command, program, options, df);
}

}  // namespace hutch::client
