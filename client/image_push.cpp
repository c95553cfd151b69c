#include "client/image_push.h"

#include <unistd.h>

#include <cstdio>

#include "client/docker_config.h"
#include "client/format.h"
#include "client/relay.h"

namespace hutch::client {
namespace {

struct PushOptions {
    std::string image, box, snapshot, reference;
    bool json = false;
};

/// A line for each layer that is there, on standard error.
void tell_layer(const Json& layer) {
    constexpr size_t kShortDigest = 19;  // "sha256:" and 12 digits, as docker shows them
    const std::string digest = printable(text_of(layer, "digest").substr(0, kShortDigest));
    const std::string how = flag_of(layer, "sent") ? "sent, " + size_of(layer, "size") : "there already";
    (void)std::fprintf(stderr, "%s: %s\n", digest.c_str(), how.c_str());
}

Result<int> push_to(const Program& program, const std::string& target, const PushOptions& options) {
    const Api api = TRY(program.api());
    Json body = Json::object();
    if (!options.reference.empty()) {
        body["reference"] = options.reference;
        TRY(add_docker_login(body, options.reference));
    }
    Request request{.method = "POST", .target = target, .content_type = "application/json"};
    request.body = TRY(dump_json(body));
    Response response = TRY(api.open(request));
    const Json pushed = TRY(follow_events(response, "pushed", [](const std::string& name, const Json& data) {
        if (name == "layer") tell_layer(data);
    }));
    if (options.json) return show_json(pushed);
    return show(printable(text_of(pushed, "reference") + "@" + text_of(pushed, "digest")) + "\n");
}

Result<int> push_image(const Program& program, const PushOptions& options) {
    return push_to(program, image_target(options.image, "/push"), options);
}

Result<int> push_snapshot(const Program& program, const PushOptions& options) {
    const std::string rest = "/snapshots/" + percent_encode(options.snapshot) + "/push";
    return push_to(program, box_target(options.box, rest), options);
}

}  // namespace

void add_image_push(CLI::App& image, Program& program) {
    const auto options = std::make_shared<PushOptions>();
    CLI::App* command = add_command(image, "push",
                                    "Put an image into a registry\n\nLayers that are there are not sent again. A login "
                                    "is docker's own for that host, or that of\n`hutch registry login`.",
                                    "hutch image push tools registry.example/team/tools:1.2");
    command->add_option("IMAGE", options->image, "Name of the image")->required();
    command->add_option("REFERENCE", options->reference, "[HOST/]REPOSITORY[:TAG], if not by what it was pulled by");
    add_json_flag(*command, options->json);
    run_on(command, program, options, push_image);
}

void add_snapshot_push(CLI::App& snapshot, Program& program) {
    const auto options = std::make_shared<PushOptions>();
    CLI::App* command =
        add_command(snapshot, "push",
                    "Put a snapshot into a registry, as an image\n\nWith the layers of its image, of which those that "
                    "are there are not sent again. The variables that\nits box was made with are in it.",
                    "hutch snapshot push web deps-installed registry.example/team/web:deps");
    add_box(*command, options->box);
    command->add_option("SNAPSHOT", options->snapshot, "Its name or id, of `hutch snapshot ls`")->required();
    command->add_option("REFERENCE", options->reference, "[HOST/]REPOSITORY[:TAG]")->required();
    add_json_flag(*command, options->json);
    run_on(command, program, options, push_snapshot);
}

}  // namespace hutch::client
