#include <fcntl.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>

#include "base/file.h"
#include "base/ids.h"
#include "base/undo.h"
#include "client/place.h"
#include "client/process.h"
#include "client/program.h"
#include "client/source.h"

namespace hutch::client {
namespace {

namespace fs = std::filesystem;

struct CopyOptions {
    std::string from, to;
};

// --- to a box ---

/// A value inside a quoted multipart parameter, as browsers escape it (WHATWG HTML, multipart/form-data).
std::string quote_parameter(std::string_view text) {
    std::string value = "\"";
    for (const char c : text) {
        if (c == '"') {
            value += "%22";
        } else if (c == '\r') {
            value += "%0D";
        } else if (c == '\n') {
            value += "%0A";
        } else {
            value += c;
        }
    }
    return value + '"';
}

Result<void> upload(const Api& api, const std::string& box, UniqueFd file, const std::string& local,
                    const std::string& path) {
    const std::string boundary = "hutch-" + random_id(32);
    const std::string part = "--" + boundary + "\r\nContent-Disposition: form-data; name=";
    std::string before = part + "\"paths\"\r\n\r\n" + path + "\r\n" + part +
                         "\"files\"; filename=" + quote_parameter(base_name(path)) +
                         "\r\nContent-Type: application/octet-stream\r\n\r\n";
    const Request request{.method = "POST",
                          .target = box_target(box, "/files/upload"),
                          .content_type = "multipart/form-data; boundary=" + boundary,
                          .source = framed_source(std::move(before), file_source(std::move(file), local),
                                                  "\r\n--" + boundary + "--\r\n")};
    TRY_IN("copying " + local, api.exchange(request));
    return {};
}

/// Regular files only, one by one; links to files are followed. Says what was left out.
Result<int> upload_tree(const Api& api, const std::string& box, const std::string& local, const std::string& path) {
    std::error_code code;
    uint64_t skipped = 0;
    auto entry = fs::recursive_directory_iterator(local, code);
    for (; !code && entry != fs::recursive_directory_iterator(); entry.increment(code)) {
        std::error_code unknown;
        if (entry->is_regular_file(unknown)) {
            const std::string name = entry->path().lexically_relative(local).string();
            const std::string from = entry->path().string();
            UniqueFd file = TRY(open_at(AT_FDCWD, from, O_RDONLY));
            TRY(upload(api, box, std::move(file), from, join_path(path, name)));
        } else if (entry->is_symlink(unknown) || !entry->is_directory(unknown)) {
            ++skipped;
        }
    }
    if (code) return errno_error("reading directory " + local, code.value());
    if (skipped == 0) return 0;
    return Error{ErrorKind::kSystem, 0,
                 "all files are copied, but " + std::to_string(skipped) + " other entries of " + local +
                     " (links, devices, sockets) are not; for these use `tar -c . | hutch exec -i BOX -- tar -x`"};
}

/// As cp does it: what exists as a directory, or ends in a slash, is copied into.
std::string target_in_box(const Api& api, const Place& to, const std::string& name) {
    if (to.path.empty() || to.path.ends_with('/')) return join_path(to.path, name);
    const auto listing = api.get(box_target(to.box, "/files/list?folder=" + percent_encode(to.path)));
    return listing.ok() ? join_path(to.path, name) : to.path;
}

Result<int> copy_in(const Api& api, const std::string& local, const Place& to) {
    if (local == "-") {
        UniqueFd input = TRY(duplicate(STDIN_FILENO));
        TRY(upload(api, to.box, std::move(input), "standard input", to.path));
        return 0;
    }
    struct stat status {};
    if (stat(local.c_str(), &status) != 0) return errno_error("opening " + local);
    std::error_code code;
    const std::string name = base_name(fs::canonical(local, code).string());
    const std::string path = target_in_box(api, to, base_name(local).empty() ? name : base_name(local));
    if (S_ISDIR(status.st_mode)) return upload_tree(api, to.box, local, path);
    UniqueFd file = TRY(open_at(AT_FDCWD, local, O_RDONLY));
    TRY(upload(api, to.box, std::move(file), local, path));
    return 0;
}

// --- from a box ---

/// Under a name of its own until it is whole, so that a broken copy never stands for the file.
Result<void> pour_into_file(Response& response, const std::string& path) {
    std::error_code code;
    const fs::path real = fs::exists(path, code) ? fs::canonical(path, code) : fs::path(path);
    if (code) return errno_error("following " + path, code.value());
    if (fs::exists(real, code) && !fs::is_regular_file(real, code)) {  // a device or FIFO is written, not replaced
        const UniqueFd there = TRY(open_at(AT_FDCWD, path, O_WRONLY));
        return pour(response, there.get(), path);
    }
    const std::string partial = join_path(real.parent_path().string(), ".hutch-" + random_id());
    const UniqueFd file = TRY(open_at(AT_FDCWD, partial, O_WRONLY | O_CREAT | O_EXCL, 0666));
    Undo remove([&] { unlink(partial.c_str()); });
    TRY(pour(response, file.get(), path));
    if (rename(partial.c_str(), real.c_str()) != 0) return errno_error("renaming " + partial + " to " + path);
    remove.commit();
    return {};
}

/// The archive is the box's word, and we may be root here: tar takes over neither owners nor set-uid bits, and
/// (without CAP_MKNOD, from the bounding set on: capabilities(7)) makes no devices.
Result<void> unpack(Response& response, const std::string& directory) {
    (void)std::signal(SIGPIPE, SIG_IGN);  // tar giving up is an error to report, not our end
    (void)prctl(PR_CAPBSET_DROP, CAP_MKNOD, 0, 0, 0);
    if (mkdir(directory.c_str(), 0777) != 0 && errno != EEXIST) return errno_error("making directory " + directory);
    Process tar = TRY(Process::start("tar", {"tar", "-x", "--no-same-owner", "--no-same-permissions", "-C", directory},
                                     Process::Piped::kStdin));
    const auto poured = pour(response, tar.pipe(), "to tar");
    auto finished = tar.finish();
    if (!poured.ok() && poured.error().code != EPIPE) return poured.error();
    return finished;
}

Result<int> copy_out(const Api& api, const Place& from, const std::string& local) {
    const std::string folder = "?folder=" + percent_encode(from.path);
    Response response = TRY(api.open({.method = "GET", .target = box_target(from.box, "/files/download" + folder)}));
    if (local == "-") {
        TRY(pour(response, STDOUT_FILENO, "standard output"));
        return 0;
    }
    std::error_code code;
    const bool into = local.ends_with('/') || fs::is_directory(local, code);
    const std::string target = into ? join_path(local, base_name(from.path)) : local;
    TRY(response.content_type() == "application/x-tar" ? unpack(response, target) : pour_into_file(response, target));
    return 0;
}

Result<int> copy(const Program& program, const CopyOptions& options) {
    const Place from = parse_place(options.from);
    const Place to = parse_place(options.to);
    if (from.in_box() == to.in_box()) return invalid("cp needs exactly one side of the form BOX:PATH");
    if (from.in_box() && from.path.empty()) return invalid("cp needs a path after " + options.from);
    if (from.path == "-" && to.in_box() && (to.path.empty() || to.path.ends_with('/'))) {
        return invalid("cp of standard input needs a file name in " + options.to);
    }
    const Api api = TRY(program.api());
    return to.in_box() ? copy_in(api, from.path, to) : copy_out(api, from, to.path);
}

}  // namespace

void add_copy_command(CLI::App& app, Program& program) {
    const auto options = std::make_shared<CopyOptions>();
    CLI::App* command =
        add_command(app, "cp",
                    "Copy a file or directory into a box or out of it\n\n"
                    "One side is BOX:PATH. Paths in a box are absolute or below its work directory. What\n"
                    "goes in keeps its content only: no modes, links or empty directories.",
                    "hutch cp report.pdf web:docs/\n  hutch cp web:/var/log ./log\n  hutch cp web:notes.txt - | less");
    command->add_option("SRC", options->from, "What to copy; `-` is standard input")->required();
    command->add_option("DST", options->to, "Where to; `-` is standard output")->required();
    run_on(command, program, options, copy);
}

}  // namespace hutch::client
