#include <unistd.h>

#include <ctime>

#include "client/format.h"
#include "client/program.h"
#include "client/table.h"

namespace hutch::client {
namespace {

struct HostOptions {
    std::string name;
    bool force = false;
    bool json = false;
};

std::string percent_of(int64_t part, int64_t whole) {
    return whole <= 0 ? "" : std::to_string(part * 100 / whole) + " %";
}

Cell state_of_host(const Json& host) {
    if (!flag_of(host, "there")) return {"silent", Tone::kBad};
    const std::string state = text_of(host, "state");
    return {state, state == "active" ? Tone::kGood : Tone::kWarning};
}

std::string silence_of(const Json& host) {
    const int64_t since = integer_of(host, "silent_since");
    return since == 0 ? "" : format_duration(time(nullptr) - since);
}

Result<int> list_fleet(const Program& program, const HostOptions& options) {
    const Api api = TRY(program.api());
    const Json answer = TRY(api.get("/v2/hosts"));
    if (options.json) return show_json(answer);
    if (text_of(answer, "fleet").empty()) return show("this host is in no fleet\n");
    Table table({"HOST", "STATE", "SILENT", "BOXES", "MEMORY FREE", "DISK FREE", "ADDRESS", "VERSION"});
    for (const Json& host : array_of(answer, "hosts")) {
        table.add({Cell(text_of(host, "name")), state_of_host(host), Cell(silence_of(host)),
                   Cell(std::to_string(integer_of(host, "boxes"))),
                   Cell(percent_of(integer_of(host, "available_bytes"), integer_of(host, "memory_bytes"))),
                   Cell(percent_of(integer_of(host, "disk_free_bytes"), integer_of(host, "disk_bytes"))),
                   Cell(text_of(host, "address")), Cell(text_of(host, "version"))});
    }
    std::string text = table.text(colour_for(STDOUT_FILENO));
    const std::string trouble = text_of(answer, "trouble");
    if (!trouble.empty()) text += "this may be behind: " + printable(trouble) + "\n";
    return show(text);
}

Result<int> set_host_state(const Program& program, const HostOptions& options, const char* state) {
    const Api api = TRY(program.api());
    TRY(api.call("PUT", "/v2/hosts/" + percent_encode(options.name), {{"state", state}}));
    return 0;
}

Result<int> cordon_host(const Program& program, const HostOptions& options) {
    return set_host_state(program, options, "cordoned");
}

Result<int> uncordon_host(const Program& program, const HostOptions& options) {
    return set_host_state(program, options, "active");
}

Result<int> remove_fleet_host(const Program& program, const HostOptions& options) {
    const Api api = TRY(program.api());
    TRY(api.call("DELETE", "/v2/hosts/" + percent_encode(options.name) + (options.force ? "?force=true" : "")));
    return 0;
}

}  // namespace

void add_fleet_commands(CLI::App& app, Program& program) {
    CLI::App* host =
        add_command(app, "host",
                    "The hosts of a fleet, each of which is a door to all boxes\n\ncordon, uncordon and rm "
                    "work only over the Unix socket, of any of the hosts.",
                    "hutch host ls");
    host->require_subcommand(1);
    const auto options = std::make_shared<HostOptions>();

    CLI::App* command = add_command(*host, "ls", "List them, with what they have left", "hutch host ls");
    add_json_flag(*command, options->json);
    run_on(command, program, options, list_fleet);

    command = add_command(*host, "cordon", "Give a host no new boxes; those that it has go on", "hutch host cordon h2");
    command->add_option("HOST", options->name, "Its name")->required();
    run_on(command, program, options, cordon_host);

    command = add_command(*host, "uncordon", "Give a host new boxes again", "hutch host uncordon h2");
    command->add_option("HOST", options->name, "Its name")->required();
    run_on(command, program, options, uncordon_host);

    command = add_command(*host, "rm", "Forget a host whose hutchd has ended", "hutch host rm h2");
    command->add_option("HOST", options->name, "Its name")->required();
    command->add_flag("--force", options->force,
                      "Though it has boxes: nobody finds them any more, and their names are free");
    run_on(command, program, options, remove_fleet_host);
}

}  // namespace hutch::client
