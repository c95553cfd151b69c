#include "client/image_save.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "base/file.h"
#include "base/ids.h"
#include "base/undo.h"
#include "client/progress.h"

namespace hutch::client {
namespace {

struct SaveOptions {
    std::string image, box, snapshot;
    std::string output;  ///< empty: standard output
};

Result<void> pour_counted(Response& response, int fd, const std::string& name, Progress& progress) {
    for (;;) {
        const std::string_view piece = TRY(response.read());
        if (piece.empty()) return {};
        TRY_IN("writing " + name, write_all(fd, piece));
        progress.add(piece.size());
    }
}

/// Under a name of its own until it is whole: half an image must not look like one.
Result<void> pour_into(Response& response, const std::string& output, Progress& progress) {
    const std::filesystem::path path(output);
    const std::string directory = path.has_parent_path() ? path.parent_path().string() : ".";
    const std::string name = path.filename().string();
    if (name.empty() || std::filesystem::is_directory(path)) return invalid("-o: " + output + " is a directory");
    struct stat status {};
    const bool there_already = stat(output.c_str(), &status) == 0;
    // A pipe or a device is written as it is, and so is a stream of ours that is named by a link of the system's.
    if ((there_already && !S_ISREG(status.st_mode)) || output.starts_with("/dev/")) {
        const UniqueFd there = TRY(open_at(AT_FDCWD, output, O_WRONLY));
        return pour_counted(response, there.get(), output, progress);
    }
    const UniqueFd in = TRY(open_at(AT_FDCWD, directory, O_PATH | O_DIRECTORY));
    const std::string partial = ".hutch-" + random_id();
    const UniqueFd file = TRY_IN("writing " + output, open_at(in.get(), partial, O_WRONLY | O_CREAT | O_EXCL, 0666));
    Undo remove([&] { unlinkat(in.get(), partial.c_str(), 0); });
    TRY(pour_counted(response, file.get(), output, progress));
    if (renameat(in.get(), partial.c_str(), in.get(), name.c_str()) != 0) return errno_error("writing " + output);
    remove.commit();
    return {};
}

Result<int> save_layout(const Program& program, const std::string& target, const std::string& output) {
    if (output.empty() && isatty(STDOUT_FILENO) == 1) {
        return invalid("an image is no text; name a file by -o, or send it to a file or a pipe");
    }
    const Api api = TRY(program.api());
    Response response = TRY(api.open({.method = "GET", .target = target}));
    Progress progress(output.empty() ? "standard output" : output, 0);
    auto poured = output.empty() ? pour_counted(response, STDOUT_FILENO, "standard output", progress)
                                 : pour_into(response, output, progress);
    if (!poured.ok() && poured.error().kind == ErrorKind::kSystem && poured.error().code == 0) {
        return Error{ErrorKind::kSystem, 0, poured.error().message + "; hutchd's log may say why"};
    }
    TRY(std::move(poured));
    return 0;
}

Result<int> save_image(const Program& program, const SaveOptions& options) {
    return save_layout(program, image_target(options.image, "/oci"), options.output);
}

Result<int> export_snapshot(const Program& program, const SaveOptions& options) {
    const std::string rest = "/snapshots/" + percent_encode(options.snapshot) + "/oci";
    return save_layout(program, box_target(options.box, rest), options.output);
}

void add_output(CLI::App& command, const std::shared_ptr<SaveOptions>& options) {
    command.add_option("-o,--output", options->output, "Where to (else standard output)")->type_name("FILE");
}

}  // namespace

void add_image_save(CLI::App& image, Program& program) {
    const auto options = std::make_shared<SaveOptions>();
    CLI::App* command = add_command(image, "save",
                                    "Write an image as an OCI image layout, in one tar archive\n\n"
                                    "`docker load`, `podman load`, `skopeo copy oci-archive:FILE ...` take it, and "
                                    "umoci once it is unpacked.\nThe image's variables are in it.",
                                    "hutch image save node -o node.tar\n  hutch image save node | docker load");
    command->add_option("IMAGE", options->image, "Name of the image")->required();
    add_output(*command, options);
    run_on(command, program, options, save_image);
}

void add_snapshot_export(CLI::App& snapshot, Program& program) {
    const auto options = std::make_shared<SaveOptions>();
    CLI::App* command =
        add_command(snapshot, "export",
                    "Write a snapshot as an OCI image layout, in one tar archive\n\n"
                    "As `hutch image save` does: with the layers of its image. The variables that its box was made\n"
                    "with are in it, for everybody who gets it to read.",
                    "hutch snapshot export web deps-installed -o web.tar\n"
                    "  hutch snapshot export web deps-installed | podman load");
    add_box(*command, options->box);
    command->add_option("SNAPSHOT", options->snapshot, "Its name or id, of `hutch snapshot ls`")->required();
    add_output(*command, options);
    run_on(command, program, options, export_snapshot);
}

}  // namespace hutch::client
