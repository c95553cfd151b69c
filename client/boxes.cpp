#include <unistd.h>

#include <algorithm>
#include <ctime>

#include "client/format.h"
#include "client/network.h"
#include "client/paint.h"
#include "client/program.h"
#include "client/table.h"

namespace hutch::client {
namespace {

double cost_of(const Json& box) {
    return number_of(box, "total_compute_cost_usd") + number_of(box, "total_token_cost_usd");
}

uint64_t cpu_of(const Json& box) {
    return static_cast<uint64_t>(std::max<int64_t>(integer_of(box, "total_cpu_ns"), 0));
}

std::string name_of(const Json& box) {
    const std::string name = text_of(box, "name");
    return name.empty() ? text_of(box, "id") : name;
}

std::string joined(const Json& texts) {
    std::string line;
    for (const Json& text : texts) {
        if (text.is_string()) line += (line.empty() ? "" : ", ") + text.get<std::string>();
    }
    return line;
}

struct CreateOptions {
    std::string name, image, snapshot, size;
    std::string agent, model;
    std::vector<std::string> agent_command;
    std::vector<std::string> labels, env;
    std::string init_command;
    std::optional<unsigned> idle_timeout, ttl;
    NetworkOptions network;
    std::optional<bool> nesting;  ///< not said: as with the snapshot
    bool keep_alive = false, ephemeral = false;
    bool json = false;
};

Result<int> create(const Program& program, const CreateOptions& options) {
    Json body = Json::object();
    if (!options.name.empty()) body["name"] = options.name;
    if (!options.image.empty()) body["runtime"] = options.image;
    if (!options.size.empty()) body["size"] = options.size;
    if (!options.labels.empty()) body["labels"] = options.labels;
    for (const std::string& setting : options.env) {
        const size_t equals = setting.find('=');
        if (equals == 0 || equals == std::string::npos) {
            return invalid("--env " + setting + " is not of the form NAME=VALUE");
        }
        body["env_vars"][setting.substr(0, equals)] = setting.substr(equals + 1);
    }
    if (!options.agent.empty()) body["agent"] = options.agent;
    if (!options.model.empty()) body["model"] = options.model;
    if (!options.agent_command.empty()) {
        const auto& words = options.agent_command;
        body["custom_runner"] = {{"command", words.front()},
                                 {"args", std::vector<std::string>(words.begin() + 1, words.end())}};
    }
    if (options.nesting) body["nesting"] = *options.nesting;
    if (options.keep_alive) body["keep_alive"] = true;
    if (!options.init_command.empty()) body["init_command"] = options.init_command;
    if (options.idle_timeout) body["idle_timeout"] = *options.idle_timeout;
    if (options.ephemeral) body["ephemeral"] = true;
    if (options.ttl) body["ttl"] = *options.ttl;
    const Json policy = TRY(network_policy(options.network));
    if (!options.network.mode.empty()) body["network_policy"] = policy;
    if (!options.snapshot.empty()) body["snapshot_id"] = options.snapshot;
    const Api api = TRY(program.api());
    const Json box = TRY(api.call("POST", options.snapshot.empty() ? "/v2/box" : "/v2/box/from-snapshot", body));
    return options.json ? show_json(box) : show(printable(name_of(box)) + "\n");
}

void add_agent(CLI::App& command, CreateOptions& options) {
    command.add_option("--agent", options.agent, "Its agent; else the one that fits --model")
        ->type_name("claude-code|codex|opencode|custom")
        ->check(CLI::IsMember({"claude-code", "codex", "opencode", "custom"}).description(""));
    command.add_option("--model", options.model, "The agent's model, such as anthropic/claude-sonnet-4-5")
        ->type_name("PROVIDER/MODEL");
    command.add_option("--agent-command", options.agent_command, "A word of a custom agent's command; repeated")
        ->type_name("WORD")
        ->allow_extra_args(false);
}

void add_lifetime(CLI::App& command, CreateOptions& options) {
    command.add_option("--idle-timeout", options.idle_timeout, "Pause it after that long without work; 0: never")
        ->type_name("SECONDS");
    CLI::Option* keep_alive = command.add_flag("--keep-alive", options.keep_alive, "Never pause it");
    command.add_option("--init-command", options.init_command, "Run by a shell each time it starts; with --keep-alive")
        ->type_name("COMMAND")
        ->needs(keep_alive);
    CLI::Option* ephemeral = command.add_flag("--ephemeral", options.ephemeral, "Delete it when its time is over");
    command.add_option("--ttl", options.ttl, "That time, at most 3 days; with --ephemeral")
        ->type_name("SECONDS")
        ->needs(ephemeral);
}

void add_create(CLI::App& app, Program& program) {
    const auto options = std::make_shared<CreateOptions>();
    CLI::App* command = add_command(app, "create", "Make a box and print its name (or id, without a name)",
                                    "hutch create web --image node --size medium --env PORT=3000");
    command->add_option("NAME", options->name, "Name of the box, unique on the host");
    CLI::Option* image = command->add_option("--image", options->image, "Image to start from (see `hutch image ls`)")
                             ->type_name("IMAGE");
    command->add_option("--snapshot", options->snapshot, "Snapshot to start from instead (see `hutch snapshot ls`)")
        ->type_name("ID")
        ->excludes(image);
    command->add_option("--size", options->size, "CPU, memory and disk it may use")
        ->type_name("small|medium|large")
        ->check(CLI::IsMember({"small", "medium", "large"}).description(""));
    command->add_option("--label", options->labels, "Label to find it by; may be repeated")
        ->type_name("LABEL")
        ->allow_extra_args(false);
    command->add_option("--env", options->env, "Environment variable for all its commands; may be repeated")
        ->type_name("NAME=VALUE")
        ->allow_extra_args(false);
    command->add_flag("--nesting", options->nesting,
                      "Let programs in it make namespaces, so sandboxes and containers, of their own, where the host's "
                      "operator allows it");
    add_agent(*command, *options);
    add_lifetime(*command, *options);
    check_mode(command->add_option("--network", options->network.mode, "What it may talk to (see `hutch network`)"))
        ->type_name("MODE");
    add_networks(*command, options->network);
    add_json_flag(*command, options->json);
    run_on(command, program, options, create);
}

struct ListOptions {
    std::string label;
    bool all = false;
    bool json = false;
};

Result<int> list(const Program& program, const ListOptions& options) {
    std::string query = options.label.empty() ? "" : "?label=" + percent_encode(options.label);
    if (options.all) query += query.empty() ? "?all=1" : "&all=1";
    const Api api = TRY(program.api());
    const Json boxes = TRY(api.get("/v2/box" + query));
    if (options.json) return show_json(boxes);
    std::vector<std::string> heads{"NAME", "ID", "STATUS", "IMAGE", "SIZE", "AGE", "CPU", "COST"};
    if (options.all) heads.emplace_back("CUSTOMER");
    const bool nesting =
        std::any_of(boxes.begin(), boxes.end(), [](const Json& box) { return flag_of(box, "nesting"); });
    if (nesting) heads.emplace_back("NESTING");
    Table table(heads);
    for (const Json& box : boxes) {
        const std::string status = text_of(box, "status");
        std::vector<Cell> row{text_of(box, "name"),
                              text_of(box, "id"),
                              {status, tone_of_status(status)},
                              text_of(box, "runtime"),
                              text_of(box, "size"),
                              format_duration(time(nullptr) - integer_of(box, "created_at")),
                              format_cpu(cpu_of(box)),
                              format_cost(cost_of(box))};
        if (options.all) row.emplace_back(text_of(box, "customer_id"));
        if (nesting) row.emplace_back(std::string(flag_of(box, "nesting") ? "yes" : ""));
        table.add(std::move(row));
    }
    return show(table.text(colour_for(STDOUT_FILENO)));
}

void add_list(CLI::App& app, Program& program) {
    const auto options = std::make_shared<ListOptions>();
    CLI::App* command = add_command(app, "ls", "List the boxes", "hutch ls --label ci");
    command->add_option("--label", options->label, "Only those with this label")->type_name("LABEL");
    command->add_flag("--all", options->all, "Those of all customers; over the Unix socket only");
    add_json_flag(*command, options->json);
    run_on(command, program, options, list);
}

struct BoxOptions {
    std::string box;
    bool json = false;
};

std::string moment(const Json& box, const char* key) {
    const int64_t seconds = integer_of(box, key);
    return seconds == 0 ? "" : format_time(seconds) + " (" + format_duration(time(nullptr) - seconds) + " ago)";
}

std::string later(int64_t seconds) {
    return seconds == 0 ? "" : format_time(seconds) + " (in " + format_duration(seconds - time(nullptr)) + ")";
}

std::string disk(const Json& details) {
    const Json disk = details.value("disk", Json::object());
    const auto limit = static_cast<uint64_t>(std::max<int64_t>(integer_of(disk, "limit_bytes"), 0));
    return limit == 0 ? "not limited: the host's file system has no quota" : format_size(limit) + " at most";
}

std::string describe_box(const Json& box) {
    const std::string status = text_of(box, "status");
    const Json sleep = box.value("details", Json::object()).value("sleep", Json::object());
    const int64_t reclaimed = integer_of(sleep, "reclaimed_bytes");
    return key_values(
        {
            {"Name", text_of(box, "name")},
            {"Id", text_of(box, "id")},
            {"Status", {status, tone_of_status(status)}},
            {"Image", text_of(box, "runtime")},
            {"Size", text_of(box, "size")},
            {"Disk", disk(box.value("details", Json::object()))},
            {"Labels", joined(array_of(box, "labels"))},
            {"Agent", text_of(box, "agent")},
            {"Model", text_of(box, "model")},
            {"Nesting", std::string(flag_of(box, "nesting") ? "allowed" : "")},
            {"Network", describe_network(box.value("network_policy", Json::object()))},
            {"Created", moment(box, "created_at")},
            {"Last active", moment(box, "last_activity_at")},
            {"Awake", text_of(sleep, "awake_because")},
            {"Sleeps", later(integer_of(sleep, "sleeps_at"))},
            {"Paused", moment(sleep, "paused_at")},
            {"Memory freed", reclaimed == 0 ? "" : format_size(static_cast<uint64_t>(reclaimed))},
            {"Ends", later(integer_of(box, "expires_at"))},
            {"CPU used", format_cpu(cpu_of(box))},
            {"Cost", format_cost(cost_of(box))},
        },
        colour_for(STDOUT_FILENO));
}

Result<int> inspect(const Program& program, const BoxOptions& options) {
    const Api api = TRY(program.api());
    const Json box = TRY(api.get(box_target(options.box, "?details=1")));
    if (options.json || isatty(STDOUT_FILENO) != 1 || !box.is_object()) return show_json(box);
    return show(describe_box(box));
}

void add_inspect(CLI::App& app, Program& program) {
    const auto options = std::make_shared<BoxOptions>();
    CLI::App* command = add_command(app, "inspect", "Show a box: readable on a terminal, JSON anywhere else",
                                    "hutch inspect web | jq .status");
    add_box(*command, options->box);
    add_json_flag(*command, options->json);
    run_on(command, program, options, inspect);
}

/// A command that makes one call for each of its boxes.
void add_change(CLI::App& app, Program& program, const std::string& name, const std::string& description,
                const std::string& example) {
    const auto boxes = std::make_shared<std::vector<std::string>>();
    CLI::App* command = add_command(app, name, description, example);
    command->add_option("BOX", *boxes, "Names or ids of the boxes")->required();
    command->callback([&program, boxes, name] {
        program.action = [&program, boxes, name]() -> Result<int> {
            const Api api = TRY(program.api());
            for (const std::string& box : *boxes) TRY(api.call("POST", box_target(box, "/" + name)));
            return 0;
        };
    });
}

struct RemoveOptions {
    std::vector<std::string> boxes;
    bool force = false;
};

Result<int> remove(const Program& program, const RemoveOptions& options) {
    const Api api = TRY(program.api());
    if (options.boxes.size() > 1 && !options.force) {
        TRY(api.call("DELETE", "/v2/box", {{"ids", options.boxes}}));
        return 0;
    }
    for (const std::string& box : options.boxes) {
        // What the API calls so is not a box, and deleting it deletes all.
        if (box == "snapshots") return invalid("BOX: \"snapshots\" is no box's name; snapshots: hutch snapshot rm");
        const auto removed = api.call("DELETE", box_target(box));
        const bool missing = !removed.ok() && removed.error().kind == ErrorKind::kNotFound;
        if (!removed.ok() && !(missing && options.force)) return removed.error();
    }
    return 0;
}

void add_remove(CLI::App& app, Program& program) {
    const auto options = std::make_shared<RemoveOptions>();
    CLI::App* command = add_command(app, "rm", "Delete boxes with all that is in them", "hutch rm web worker");
    command->add_option("BOX", options->boxes, "Names or ids of the boxes")->required();
    command->add_flag("-f,--force", options->force, "A box that does not exist is no error");
    run_on(command, program, options, remove);
}

struct LogOptions {
    std::string box;
    unsigned count = 0;
    bool json = false;
};

Tone tone_of_level(const std::string& level) {
    if (level == "error") return Tone::kBad;
    return level == "warn" ? Tone::kWarning : Tone::kPlain;
}

Result<int> logs(const Program& program, const LogOptions& options) {
    const Api api = TRY(program.api());
    // All that is kept: the API counts its limit from the oldest, and what is wanted is the newest.
    Json answer = TRY(api.get(box_target(options.box, "/logs?limit=999999999")));
    Json entries = array_of(answer, "logs");
    if (options.count != 0 && entries.size() > options.count) {
        entries.erase(entries.begin(), entries.end() - static_cast<std::ptrdiff_t>(options.count));
        answer["logs"] = entries;
    }
    if (options.json) return show_json(answer);
    const Colour colour = colour_for(STDOUT_FILENO);
    std::string lines;
    for (const Json& entry : entries) {
        const std::string level = printable(text_of(entry, "level"));
        lines += paint(format_time(integer_of(entry, "timestamp")), Tone::kDim, colour) + "  " +
                 paint(level, tone_of_level(level), colour) + "  " + printable(text_of(entry, "source")) + "  " +
                 printable(text_of(entry, "message")) + "\n";
    }
    return show(lines);
}

void add_logs(CLI::App& app, Program& program) {
    const auto options = std::make_shared<LogOptions>();
    CLI::App* command = add_command(app, "logs", "Show what happened to a box", "hutch logs web -n 20");
    add_box(*command, options->box);
    command->add_option("-n", options->count, "Only that many, the newest")
        ->type_name("COUNT")
        ->check(CLI::Range(1U, 1000000U));
    add_json_flag(*command, options->json);
    run_on(command, program, options, logs);
}

/// For shell completion, hence silent where there is no daemon.
Result<int> names(const Program& program) {
    const Api api = TRY(program.api());
    const auto boxes = api.get("/v2/box");
    if (!boxes.ok()) return 1;
    std::string lines;
    for (const Json& box : boxes.value()) lines += printable(name_of(box)) + "\n";
    return show(lines);
}

}  // namespace

void add_box_commands(CLI::App& app, Program& program) {
    add_create(app, program);
    add_list(app, program);
    add_inspect(app, program);
    add_logs(app, program);
    add_change(app, program, "pause", "Stop boxes where they are; work or `hutch resume` wakes them",
               "hutch pause web");
    add_change(app, program, "resume", "Wake paused boxes", "hutch resume web");
    add_remove(app, program);
    app.add_subcommand("__boxes", "Names of all boxes")->group("")->callback([&program] {
        program.action = [&program] { return names(program); };
    });
}

}  // namespace hutch::client
