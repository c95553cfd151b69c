// `hutch image load`: images as others keep them.

#include "client/image_load.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "client/format.h"
#include "client/progress.h"
#include "client/settings.h"
#include "client/source.h"

namespace hutch::client {
namespace {

struct LoadOptions {
    std::string file, name;
    bool json = false;
};

Result<int> load(const Program& program, const LoadOptions& options) {
    UniqueFd file = TRY(options.file == "-" ? duplicate(STDIN_FILENO) : open_at(AT_FDCWD, options.file, O_RDONLY));
    struct stat status {};
    const bool sized = fstat(file.get(), &status) == 0 && S_ISREG(status.st_mode);
    const auto progress =
        std::make_shared<Progress>(options.file, sized ? static_cast<uint64_t>(status.st_size) : uint64_t{0});
    const std::string query = options.name.empty() ? "" : "?name=" + percent_encode(options.name);
    const Request request{.method = "POST",
                          .target = "/v2/images/load" + query,
                          .content_type = "application/x-tar",
                          .source = counted(file_source(std::move(file), options.file), progress)};
    const Api api = TRY(program.api());
    const Json answer = TRY(api.exchange(request));
    if (options.json) return show_json(answer);
    std::string names;
    for (const Json& image : array_of(answer, "images")) names += printable(text_of(image, "name")) + "\n";
    return show(names);
}

}  // namespace

void add_image_load(CLI::App& image, Program& program) {
    const auto options = std::make_shared<LoadOptions>();
    CLI::App* command = add_command(image, "load",
                                    "Make images of an archive of images\n\n"
                                    "The archive is an OCI layout, or what `docker save` or `podman save` wrote, plain"
                                    " or packed.\nIts images get the names that they have there.",
                                    "docker save node:20 | hutch image load -\n"
                                    "  hutch image load app.tar --name team/app:1.2");
    command->add_option("FILE", options->file, "The archive; `-` is standard input")->required();
    command->add_option("--name", options->name, "What to call the only image in it")->type_name("NAME");
    add_json_flag(*command, options->json);
    run_on(command, program, options, load);
}

}  // namespace hutch::client
