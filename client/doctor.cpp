#include <unistd.h>

#include "client/format.h"
#include "client/paint.h"
#include "client/program.h"

namespace hutch::client {
namespace {

struct Mark {
    std::string_view text;
    Tone tone;
};

Mark mark_of(const std::string& level) {
    if (level == "ok") return {"ok     ", Tone::kGood};
    if (level == "error") return {"error  ", Tone::kBad};
    return {"warning", Tone::kWarning};
}

/// Exit code 1 if anything is found that keeps boxes from working.
Result<int> doctor(const Program& program, bool json) {
    const Api api = TRY(program.api());
    const Json host = TRY(api.get("/v2/host"));
    const Json findings = array_of(host, "findings");
    const Colour colour = colour_for(STDOUT_FILENO);
    std::string lines = "hutchd " + printable(text_of(host, "version")) + " on Linux " +
                        printable(text_of(host, "kernel")) + ", " + printable(text_of(host, "cgroups")) + " cgroups\n";
    int errors = 0;
    for (const Json& finding : findings) {
        const std::string level = text_of(finding, "level");
        const std::string fix = printable(text_of(finding, "fix"));
        const Mark mark = mark_of(level);
        if (level == "error") ++errors;
        lines += paint(mark.text, mark.tone, colour) + "  " + printable(text_of(finding, "what")) + "\n";
        if (!fix.empty() && level != "ok") lines += "         " + paint("fix: " + fix, Tone::kDim, colour) + "\n";
    }
    TRY(json ? show_json(host) : show(lines));
    return errors == 0 ? 0 : 1;
}

Result<int> version(const Program& program, bool json) {
    const Api api = TRY(program.api());
    const auto about = api.get("/v2");  // which customers may ask too
    const std::string daemon = about.ok() ? text_of(about.value(), "version") : "";
    if (json) return show_json({{"client", HUTCH_VERSION}, {"daemon", daemon.empty() ? Json() : Json(daemon)}});
    const std::string why = about.ok() ? "of another version, which does not tell" : about.error().message;
    return show("hutch  " HUTCH_VERSION "\nhutchd " + printable(daemon.empty() ? "not known: " + why : daemon) + "\n");
}

void add_host_command(CLI::App& app, Program& program, Result<int> (*run)(const Program&, bool),
                      const std::string& name, const std::string& description, const std::string& example) {
    const auto json = std::make_shared<bool>(false);
    CLI::App* command = add_command(app, name, description, example);
    add_json_flag(*command, *json);
    command->callback(
        [&program, json, run] { program.action = [&program, json, run] { return run(program, *json); }; });
}

}  // namespace

void add_host_commands(CLI::App& app, Program& program) {
    add_host_command(app, program, doctor, "doctor", "Check whether this host can run boxes, and say what to fix",
                     "hutch doctor");
    add_host_command(app, program, version, "version", "Print the versions of hutch and of the daemon",
                     "hutch version");
}

}  // namespace hutch::client
