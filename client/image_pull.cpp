#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <set>

#include "client/docker_config.h"
#include "client/format.h"
#include "client/image_pull.h"
#include "client/program.h"
#include "client/relay.h"

namespace hutch::client {
namespace {

struct PullOptions {
    std::string reference, name;
    bool json = false;
};

/// How far a pull is, on standard error: on a terminal in a line that changes, else a line for each layer that is here.
class PullDisplay {
  public:
    PullDisplay() : terminal_(isatty(STDERR_FILENO) == 1) {}
    PullDisplay(const PullDisplay&) = delete;
    PullDisplay& operator=(const PullDisplay&) = delete;
    ~PullDisplay() {
        if (shown_) (void)std::fputs("\r\x1b[K", stderr);  // to the line's beginning, and clear it
    }

    void show(const Json& progress) {
        const Json layers = array_of(progress, "layers");
        uint64_t bytes = 0;
        uint64_t size = 0;
        size_t wanted = 0;
        size_t whole = 0;
        for (const Json& layer : layers) {
            if (!flag_of(layer, "wanted")) continue;
            ++wanted;
            bytes += count_of(layer, "bytes");
            size += count_of(layer, "size");
            if (count_of(layer, "bytes") != count_of(layer, "size")) continue;
            ++whole;
            tell_whole(layer);
        }
        if (!terminal_ || wanted == 0) return;
        const std::string said = text_of(progress, "said");
        (void)std::fprintf(stderr, "\r\x1b[Klayers %zu of %zu  %s of %s%s%s", whole, wanted, format_size(bytes).c_str(),
                           format_size(size).c_str(), said.empty() ? "" : "  ", printable(said).c_str());
        shown_ = true;
    }

  private:
    void tell_whole(const Json& layer) {
        constexpr size_t kShort = 19;  // "sha256:" and 12 digits, as docker shows them
        const std::string digest = text_of(layer, "digest");
        if (terminal_ || !told_.insert(digest).second) return;
        (void)std::fprintf(stderr, "%s: %s\n", printable(digest.substr(0, kShort)).c_str(),
                           format_size(count_of(layer, "size")).c_str());
    }

    bool terminal_;
    bool shown_ = false;
    std::set<std::string> told_;
};

Result<int> pull(const Program& program, const PullOptions& options) {
    const Api api = TRY(program.api());
    const Json image = TRY(pull_image(api, options.reference, options.name));
    return options.json ? show_json(image) : show(printable(text_of(image, "name")) + "\n");
}

}  // namespace

Result<Json> pull_image(const Api& api, const std::string& reference, const std::string& name) {
    Json body = {{"reference", reference}};
    if (!name.empty()) body["name"] = name;
    TRY(add_docker_login(body, reference));
    Request request{.method = "POST", .target = "/v2/images/pull", .content_type = "application/json"};
    request.body = TRY(dump_json(body));
    Response response = TRY(api.open(request));
    PullDisplay display;
    return follow_events(response, "image", [&display](const std::string& event, const Json& data) {
        if (event == "progress") display.show(data);
    });
}

void add_image_pull(CLI::App& image, Program& program) {
    const auto options = std::make_shared<PullOptions>();
    CLI::App* command =
        add_command(image, "pull",
                    "Bring an image from a registry\n\nWhat of its layers is here already is not fetched; what broke "
                    "off is gone on with.\nA login is docker's own for that host (~/.docker/config.json), or that of "
                    "`hutch registry login`.",
                    "hutch image pull docker.io/library/node:20 --name node20");
    command->add_option("REFERENCE", options->reference, "[HOST/]REPOSITORY[:TAG][@DIGEST]")->required();
    command->add_option("--name", options->name, "What to call it here, if not by the reference")->type_name("NAME");
    add_json_flag(*command, options->json);
    run_on(command, program, options, pull);
}

}  // namespace hutch::client
