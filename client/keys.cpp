#include <unistd.h>

#include <array>
#include <ctime>
#include <optional>

#include "client/format.h"
#include "client/program.h"
#include "client/table.h"
#include "client/tty.h"

namespace hutch::client {
namespace {

struct KeyOptions {
    std::string name;
    bool json = false;
};

/// What a customer's share is counted in.
struct Share {
    const char* option;
    const char* field;  ///< in the API
    const char* header;
    const char* help;
    bool bytes = false;
};
constexpr std::array kShares{
    Share{"--boxes", "boxes", "BOXES", "Boxes at a time"},
    Share{"--commands", "commands", "COMMANDS", "Commands under way at a time"},
    Share{"--memory", "memory_bytes", "MEMORY", "Sizes of awake boxes added up, such as 64G", true},
    Share{"--disk", "disk_bytes", "DISK", "What boxes have written, snapshots and own images, such as 50G", true},
    Share{"--snapshots", "snapshots", "SNAPSHOTS", "Snapshots at a time"},
    Share{"--connections", "connections", "CONNECTIONS", "Connections over TCP at a time"},
    Share{"--followers", "followers", "FOLLOWERS", "Followers of events at a time"},
    Share{"--model-tokens", "model_tokens", "MODEL TOKENS", "Tokens of models a day (UTC), in and out"},
    Share{"--preview-connections", "preview_connections", "URL CONNECTIONS", "Connections to public URLs at a time"},
    Share{"--schedules", "schedules", "SCHEDULES", "Schedules of all its boxes"},
};

struct LimitOptions {
    std::string name;
    std::array<std::optional<uint64_t>, kShares.size()> limits;
    std::string nesting;  ///< yes, no, or nothing said
    std::string pull;     ///< the same
    bool json = false;
};

Result<int> add_key(const Program& program, const KeyOptions& options) {
    const Api api = TRY(program.api());
    const Json key = TRY(api.call("POST", "/v2/keys", {{"name", options.name}}));
    return options.json ? show_json(key) : show(printable(text_of(key, "key")) + "\n");
}

Result<int> remove_key(const Program& program, const KeyOptions& options) {
    const Api api = TRY(program.api());
    TRY(api.call("DELETE", "/v2/keys/" + percent_encode(options.name)));
    return 0;
}

std::string amount_of(const Json& share, const char* field, bool bytes) {
    const int64_t amount = integer_of(share, field);
    return bytes ? format_size(static_cast<uint64_t>(amount)) : std::to_string(amount);
}

// "3/20", or without a limit "3".
std::string share_text(const Json& limits, const Share& share) {
    const Json found = object_of(limits, share.field);
    std::string used = amount_of(found, "used", share.bytes);
    const auto limit = found.find("limit");
    if (limit == found.end() || limit->is_null()) return used;
    return used + "/" + amount_of(found, "limit", share.bytes);
}

std::vector<std::string> share_headers() {
    std::vector<std::string> headers;
    for (const Share& share : kShares) headers.emplace_back(share.header);
    headers.emplace_back("PULL");
    headers.emplace_back("NESTING");
    return headers;
}

std::vector<Cell> share_cells(const Json& of) {
    std::vector<Cell> cells;
    const Json limits = object_of(of, "limits");
    for (const Share& share : kShares) cells.emplace_back(share_text(limits, share));
    cells.emplace_back(std::string(flag_of(of, "pull") ? "yes" : "no"));
    cells.emplace_back(std::string(flag_of(of, "nesting") ? "yes" : "no"));
    return cells;
}

Result<int> list_keys(const Program& program, const KeyOptions& options) {
    const Api api = TRY(program.api());
    const Json answer = TRY(api.get("/v2/keys"));
    if (options.json) return show_json(answer);
    std::vector<std::string> headers = share_headers();
    headers.insert(headers.begin(), {"NAME", "AGE"});
    Table table(std::move(headers));
    for (const Json& key : array_of(answer, "keys")) {
        std::vector<Cell> row = share_cells(key);
        const std::string age = format_duration(time(nullptr) - integer_of(key, "created_at"));
        row.insert(row.begin(), {Cell(text_of(key, "name")), Cell(age)});
        table.add(std::move(row));
    }
    return show(table.text(colour_for(STDOUT_FILENO)));
}

Result<int> limit(const Program& program, const LimitOptions& options) {
    const Api api = TRY(program.api());
    Json body = Json::object();
    for (size_t i = 0; i < kShares.size(); ++i) {
        if (options.limits[i]) body[kShares[i].field] = *options.limits[i];
    }
    if (!options.nesting.empty()) body["nesting"] = options.nesting == "yes";
    if (!options.pull.empty()) body["pull"] = options.pull == "yes";
    const Json answer = TRY(api.call("PUT", "/v2/keys/" + percent_encode(options.name) + "/limits", body));
    if (options.json) return show_json(answer);
    Table table(share_headers());
    table.add(share_cells(answer));
    return show(table.text(colour_for(STDOUT_FILENO)));
}

// The key is read, not said: words of a command are seen by all of the host's users, and kept by the shell.
Result<int> set_model_key(const Program& program, const KeyOptions& options) {
    const Api api = TRY(program.api());
    const std::string key = TRY(read_secret("key for " + options.name + ": "));
    if (key.empty()) return invalid("the key: nothing came on standard input");
    TRY(api.call("PUT", "/v2/box/settings/model-keys/" + percent_encode(options.name), {{"key", key}}));
    return 0;
}

Result<int> unset_model_key(const Program& program, const KeyOptions& options) {
    const Api api = TRY(program.api());
    TRY(api.call("DELETE", "/v2/box/settings/model-keys/" + percent_encode(options.name)));
    return 0;
}

Result<int> list_model_keys(const Program& program, const KeyOptions& options) {
    const Api api = TRY(program.api());
    const Json answer = TRY(api.get("/v2/box/settings/model-keys"));
    if (options.json) return show_json(answer);
    std::string lines;
    for (const Json& provider : array_of(answer, "providers")) lines += printable(provider.get<std::string>()) + "\n";
    return show(lines);
}

void add_model_key_commands(CLI::App& key, Program& program, const std::shared_ptr<KeyOptions>& options) {
    CLI::App* command =
        add_command(key, "set",
                    "Set your boxes' key for a provider of models\n\nRead from standard input. Agents use it through "
                    "the gateway, and never see it.",
                    "hutch key set anthropic < key.txt");
    command->add_option("PROVIDER", options->name, "anthropic, openai, openrouter, opencode or vercel")->required();
    run_on(command, program, options, set_model_key);

    command = add_command(key, "unset", "Forget the key for a provider of models", "hutch key unset anthropic");
    command->add_option("PROVIDER", options->name, "Its name")->required();
    run_on(command, program, options, unset_model_key);

    command = add_command(key, "models", "List the providers of models that a key is set for", "hutch key models");
    add_json_flag(*command, options->json);
    run_on(command, program, options, list_model_keys);
}

void add_limit_command(CLI::App& key, Program& program) {
    const auto options = std::make_shared<LimitOptions>();
    CLI::App* command =
        add_command(key, "limit",
                    "Set what a customer may take, and show what it takes\n\nWhat is not named stays as "
                    "it is; 0 is no limit. Who is beyond a lower limit\nkeeps what there is, and gets no more.",
                    "hutch key limit alice --boxes 20 --disk 50G");
    command->add_option("NAME", options->name, "The customer")->required();
    for (size_t i = 0; i < kShares.size(); ++i) {
        CLI::Option* option = command->add_option(kShares[i].option, options->limits[i], kShares[i].help);
        if (kShares[i].bytes) option->transform(CLI::AsSizeValue(false));
    }
    command->add_option("--nesting", options->nesting, "Whether boxes may be made with --nesting")
        ->type_name("yes|no")
        ->check(CLI::IsMember({"yes", "no"}).description(""));
    command->add_option("--pull", options->pull, "Whether it may have images of registries")
        ->type_name("yes|no")
        ->check(CLI::IsMember({"yes", "no"}).description(""));
    add_json_flag(*command, options->json);
    run_on(command, program, options, limit);
}

}  // namespace

void add_key_commands(CLI::App& app, Program& program) {
    CLI::App* key =
        add_command(app, "key",
                    "API keys, each of which is a customer, and keys of models\n\nA customer sees its own "
                    "boxes, snapshots and usage, and nobody else's; add, rm, ls\nand limit work only over the "
                    "Unix socket. set, unset and models are of the customer who calls.",
                    "hutch key add alice");
    key->require_subcommand(1);
    const auto options = std::make_shared<KeyOptions>();

    CLI::App* command =
        add_command(*key, "add", "Make a key and print it; it is shown this once", "hutch key add alice");
    command->add_option("NAME", options->name, "The customer it is for")->required();
    add_json_flag(*command, options->json);
    run_on(command, program, options, add_key);

    command = add_command(*key, "rm",
                          "Accept a key no more\n\nWhat is the customer's stays; a key of the same name has it again.",
                          "hutch key rm alice");
    command->add_option("NAME", options->name, "Its customer")->required();
    run_on(command, program, options, remove_key);

    add_limit_command(*key, program);
    add_model_key_commands(*key, program, options);
    command = add_command(*key, "ls", "List the customers that have a key, with what each takes and may take",
                          "hutch key ls");
    add_json_flag(*command, options->json);
    run_on(command, program, options, list_keys);
}

}  // namespace hutch::client
