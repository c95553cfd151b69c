#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <optional>

#include "archives/pack.h"
#include "archives/tar.h"
#include "base/file.h"
#include "base/holes.h"
#include "base/ids.h"
#include "base/undo.h"
#include "client/place.h"
#include "client/program.h"
#include "client/progress.h"
#include "client/source.h"

namespace hutch::client {
namespace {

namespace fs = std::filesystem;

struct CopyOptions {
    std::vector<std::string> places;  ///< the last is where to
};

/// Where to, and whether many things go there.
struct Target : Place {
    bool many = false;
};

Error no_directory(const std::string& place) {
    return invalid(place + " is no directory; many things go into one that is there, or whose name ends with /");
}

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

/// What a file is to have in the box, in the words of the wire; empty: as a new one.
struct Attributes {
    std::string mode;
    std::string mtime;
};

Attributes attributes_of(const struct stat& status) {
    if (!S_ISREG(status.st_mode)) return {};
    char mode[16];
    char mtime[64];
    snprintf(mode, sizeof(mode), "%o", status.st_mode & 0777);
    snprintf(mtime, sizeof(mtime), "%lld.%09ld", static_cast<long long>(status.st_mtim.tv_sec), status.st_mtim.tv_nsec);
    return {mode, mtime};
}

/// `local` is what errors and the line of progress call it.
Result<void> upload(const Api& api, const std::string& box, BodySource source, const Attributes& attributes,
                    const std::string& local, const std::string& path) {
    const std::string boundary = "hutch-" + random_id(32);
    const std::string part = "--" + boundary + "\r\nContent-Disposition: form-data; name=";
    const auto field = [&part](const char* name, const std::string& value) {
        return value.empty() ? "" : part + '"' + name + "\"\r\n\r\n" + value + "\r\n";
    };
    std::string before = field("paths", path) + field("modes", attributes.mode) + field("mtimes", attributes.mtime) +
                         part + "\"files\"; filename=" + quote_parameter(base_name(path)) +
                         "\r\nContent-Type: application/octet-stream\r\n\r\n";
    const Request request{
        .method = "POST",
        .target = box_target(box, "/files/upload"),
        .content_type = "multipart/form-data; boundary=" + boundary,
        .source = framed_source(std::move(before), std::move(source), "\r\n--" + boundary + "--\r\n")};
    TRY_IN("copying " + local, api.exchange(request));
    return {};
}

Result<void> upload(const Api& api, const std::string& box, UniqueFd file, const std::string& local,
                    const std::string& path) {
    struct stat status {};
    const bool sized = fstat(file.get(), &status) == 0 && S_ISREG(status.st_mode);
    const auto progress = std::make_shared<Progress>(local, sized ? static_cast<uint64_t>(status.st_size) : 0);
    return upload(api, box, counted(file_source(std::move(file), local), progress), attributes_of(status), local, path);
}

Error left_out_of_copy(uint64_t count, const std::string& first) {
    return Error{ErrorKind::kSystem, 0,
                 "all else is copied, but " + std::to_string(count) + " entries are not: " + first +
                     (count > 1 ? ", for one" : "")};
}

/// A link is packed as such, wherever it leads: it may be one that an earlier copy brought from a box, which would be
/// given the file of ours that it names.
Result<int> upload_tree(const Api& api, const std::string& box, const std::string& local, const std::string& path) {
    const size_t slash = path.rfind('/');
    const std::string folder = slash == std::string::npos ? "" : slash == 0 ? "/" : path.substr(0, slash);
    const UniqueFd directory = TRY(open_at(AT_FDCWD, local, O_RDONLY | O_DIRECTORY));
    const auto pack = std::make_shared<archives::Pack>(
        TRY_IN("copying " + local, archives::Pack::open(directory.get(), "", path.substr(slash + 1))));
    const Request request{.method = "POST",
                          .target = box_target(box, "/files/upload?folder=" + percent_encode(folder)),
                          .content_type = "application/x-tar",
                          .source = [pack] { return pack->next(); }};
    const Json answer = TRY_IN("copying " + local, api.exchange(request));
    if (pack->left_out() > 0) return left_out_of_copy(pack->left_out(), pack->first_left_out());
    const auto left_out = static_cast<uint64_t>(integer_of(answer, "left_out"));
    if (left_out > 0) return left_out_of_copy(left_out, text_of(answer, "first_left_out"));
    return 0;
}

/// As cp does it: what exists as a directory, or ends in a slash, is copied into, and many things nowhere else.
Result<std::string> target_in_box(const Api& api, const Target& to, const std::string& name) {
    if (to.path.empty() || to.path.ends_with('/')) return join_path(to.path, name);
    const auto listing = api.get(box_target(to.box, "/files/list?folder=" + percent_encode(to.path)));
    if (!listing.ok() && to.many) return no_directory(to.box + ":" + to.path);
    return listing.ok() ? join_path(to.path, name) : to.path;
}

Result<int> copy_in(const Api& api, const std::string& local, const Target& to) {
    if (local == "-") {
        UniqueFd input = TRY(duplicate(STDIN_FILENO));
        TRY(upload(api, to.box, std::move(input), "standard input", to.path));
        return 0;
    }
    struct stat status {};
    if (stat(local.c_str(), &status) != 0) return errno_error("opening " + local);
    std::error_code code;
    const std::string name = base_name(fs::canonical(local, code).string());
    const std::string path = TRY(target_in_box(api, to, base_name(local).empty() ? name : base_name(local)));
    if (S_ISDIR(status.st_mode)) return upload_tree(api, to.box, local, path);
    UniqueFd file = TRY(open_at(AT_FDCWD, local, O_RDONLY));
    TRY(upload(api, to.box, std::move(file), local, path));
    return 0;
}

// --- from a box ---

/// A name in a directory of this machine. The directory is what the user named, links and all; the name may be one that
/// an earlier copy brought, so what is there is looked at without following it.
struct LocalTarget {
    UniqueFd directory;
    std::string name;  ///< "": the directory itself
    std::string path;  ///< for messages
};

/// As cp does it: into what is a directory or ends in a slash, else in the place of what is called so.
Result<LocalTarget> target_here(const std::string& local, const std::string& name) {
    std::error_code code;
    const bool into = local.ends_with('/') || fs::is_directory(local, code);
    const fs::path path(local);
    const std::string directory = into ? local : path.has_parent_path() ? path.parent_path().string() : ".";
    return LocalTarget{TRY(open_at(AT_FDCWD, directory, O_PATH | O_DIRECTORY)), into ? name : path.filename().string(),
                       into ? join_path(local, name) : local};
}

/// Nothing if there is none.
std::optional<mode_t> type_of(const LocalTarget& target) {
    struct stat status {};
    if (fstatat(target.directory.get(), target.name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) return std::nullopt;
    return status.st_mode & S_IFMT;
}

Error is_directory_here(const LocalTarget& target) {
    return Error{ErrorKind::kSystem, EISDIR, target.path + " is a directory here, and a file in the box"};
}

Result<void> pour_with_holes(Response& response, int file, const std::string& path) {
    Progress progress(path, 0);
    for (;;) {
        const std::string_view piece = TRY(response.read());
        if (piece.empty()) break;
        TRY_IN("writing " + path, write_with_holes(file, piece));
        progress.add(piece.size());
    }
    const off_t size = lseek(file, 0, SEEK_CUR);
    if (size < 0 || ftruncate(file, size) != 0) return errno_error("writing " + path);
    return {};
}

/// The mode as far as the umask, by which the file was made, has it.
Result<void> take_attributes(const Response& response, int file) {
    struct stat status {};
    if (fstat(file, &status) != 0) return errno_error("looking at it");
    unsigned mode = 0;
    if (sscanf(response.header("X-File-Mode").c_str(), "%o", &mode) != 1) return {};  // a daemon of before it
    // Of 0666 & ~umask each class has read and write as it may; who may not read may not run it either.
    const mode_t kept = status.st_mode & 0666;
    if (fchmod(file, mode & (kept | (kept & 0444) >> 2U)) != 0) return errno_error("setting its mode");
    long long seconds = 0;
    long nanoseconds = 0;
    if (sscanf(response.header("X-File-Mtime").c_str(), "%lld.%9ld", &seconds, &nanoseconds) != 2) return {};
    const timespec time{static_cast<time_t>(seconds), nanoseconds};
    const timespec times[2] = {time, time};
    if (futimens(file, times) != 0) return errno_error("setting its time");
    return {};
}

/// Under a name of its own until it is whole, so that a broken copy never stands for the file. A link is replaced, not
/// followed: it may be the box's.
Result<void> pour_into_file(Response& response, const LocalTarget& target) {
    const int directory = target.directory.get();
    const auto type = target.name.empty() ? S_IFDIR : type_of(target);
    if (type == S_IFDIR) return is_directory_here(target);
    if (type && *type != S_IFREG && *type != S_IFLNK) {  // a device or FIFO is written, not replaced
        const UniqueFd there = TRY(open_at(directory, target.name, O_WRONLY | O_NOFOLLOW));
        return pour(response, there.get(), target.path);
    }
    const std::string partial = ".hutch-" + random_id();
    const UniqueFd file =
        TRY_IN("writing " + target.path, open_at(directory, partial, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0666));
    Undo remove([&] { unlinkat(directory, partial.c_str(), 0); });
    TRY(pour_with_holes(response, file.get(), target.path));
    TRY_IN("writing " + target.path, take_attributes(response, file.get()));
    if (renameat(directory, partial.c_str(), directory, target.name.c_str()) != 0) {
        return errno_error("renaming " + partial + " to " + target.path);
    }
    remove.commit();
    return {};
}

archives::Pull pull_from(Response& response, const std::string& name) {
    const auto progress = std::make_shared<Progress>(name, 0);
    return [&response, progress, rest = std::string_view()](char* buffer, size_t size) mutable -> Result<size_t> {
        if (rest.empty()) {
            rest = TRY(response.read());
            progress->add(rest.size());
        }
        const size_t count = rest.copy(buffer, size);
        rest.remove_prefix(count);
        return count;
    };
}

/// The archive is the box's word, made by its own tar, and we may be root here.
Result<void> unpack(Response& response, const LocalTarget& target) {
    const auto type = target.name.empty() ? S_IFDIR : type_of(target);
    if (type && *type != S_IFDIR && *type != S_IFLNK) {
        return errno_error(target.path + " is a file here, and a directory in the box", ENOTDIR);
    }
    const auto unpacked = archives::unpack_copy(pull_from(response, target.path), target.directory.get(), target.name);
    if (!unpacked.ok()) {
        return Error{ErrorKind::kSystem, 0, "copying to " + target.path + " ended early: " + unpacked.error().message};
    }
    TRY(response.skip());  // an archive that the daemon broke off may still look whole
    const uint64_t left_out = unpacked.value().skipped_nodes + unpacked.value().blocked;
    if (left_out == 0) return {};
    return left_out_of_copy(left_out, unpacked.value().first_left_out);
}

/// What the user names there is a stream of ours, by a link of the system's.
bool names_a_stream(const std::string& local) {
    return local == "/dev/stdout" || local == "/dev/stderr" || local.starts_with("/dev/fd/");
}

/// What it refuses is about the path, which the user knows as a part of SRC.
Result<Response> download(const Api& api, const Place& from, bool exact) {
    const std::string query = "?folder=" + percent_encode(from.path) + (exact ? "&exact=true" : "");
    auto response = api.open({.method = "GET", .target = box_target(from.box, "/files/download" + query)});
    constexpr std::string_view kField = "folder: ";
    if (response.ok() || !response.error().message.starts_with(kField)) return response;
    Error refused = response.error();
    refused.message.replace(0, kField.size(), "SRC: in " + from.box + ", ");
    return refused;
}

Result<int> copy_out(const Api& api, const Place& from, const Target& to) {
    const std::string& local = to.path;
    Response response = TRY(download(api, from, local != "-"));
    const bool archive = response.content_type() == "application/x-tar";
    if (local == "-") {
        if (archive && isatty(STDOUT_FILENO) != 0) {
            return invalid("of a directory `-` is an archive; send it to a file or a pipe");
        }
        TRY(pour(response, STDOUT_FILENO, "standard output"));
        return 0;
    }
    if (!archive && names_a_stream(local)) {
        const UniqueFd stream = TRY(open_at(AT_FDCWD, local, O_WRONLY));
        TRY(pour(response, stream.get(), local));
        return 0;
    }
    std::error_code code;
    if (to.many && !local.ends_with('/') && !fs::is_directory(local, code)) return no_directory(local);
    const LocalTarget target = TRY(target_here(local, base_name(from.path)));
    TRY(archive ? unpack(response, target) : pour_into_file(response, target));
    return 0;
}

// --- from box to box ---

/// A file passes through; a directory is laid down here on its way.
Result<int> copy_across(const Api& api, const Place& from, const Target& to) {
    const auto response = std::make_shared<Response>(TRY(download(api, from, true)));
    const std::string name = from.box + ":" + from.path;
    const std::string path = TRY(target_in_box(api, to, base_name(from.path)));
    if (response->content_type() != "application/x-tar") {
        const BodySource source = counted([response] { return response->read(); }, std::make_shared<Progress>(name, 0));
        const Attributes attributes{response->header("X-File-Mode"), response->header("X-File-Mtime")};
        TRY(upload(api, to.box, source, attributes, name, path));
        return 0;
    }
    std::string here = fs::temp_directory_path() / "hutch-XXXXXX";
    if (mkdtemp(here.data()) == nullptr) return errno_error("making directory " + here);
    const Undo remove([&here] { (void)remove_tree_at(AT_FDCWD, here); });
    const LocalTarget tree = TRY(target_here(here + "/", "tree"));
    TRY(unpack(*response, tree));
    return upload_tree(api, to.box, here + "/tree", path);
}

Result<int> copy_one(const Api& api, const Place& from, const Target& to) {
    if (from.in_box() && to.in_box()) return copy_across(api, from, to);
    return to.in_box() ? copy_in(api, from.path, to) : copy_out(api, from, to);
}

Result<void> check_places(const std::vector<Place>& sources, const Target& to) {
    for (const Place& from : sources) {
        if (!from.in_box() && !to.in_box()) return invalid("cp needs a side of the form BOX:PATH");
        if (from.in_box() && from.path.empty()) return invalid("cp needs a path after " + from.box + ":");
        if (from.in_box() || from.path != "-") continue;
        const bool named = !to.path.empty() && !to.path.ends_with('/');
        if (to.many || !named) return invalid("cp of standard input needs a file name in " + to.box + ":" + to.path);
    }
    if (to.many && to.path == "-") return invalid("cp of many to standard output would run them into each other");
    return {};
}

Result<int> copy(const Program& program, const CopyOptions& options) {
    if (options.places.size() < 2) return invalid("where to copy " + options.places.front() + " is missing");
    std::vector<Place> sources;
    for (const std::string& text : options.places) sources.push_back(parse_place(text));
    const Target to{sources.back(), sources.size() > 2};
    sources.pop_back();
    TRY(check_places(sources, to));
    const Api api = TRY(program.api());
    for (const Place& from : sources) TRY(copy_one(api, from, to));
    return 0;
}

}  // namespace

void add_copy_command(CLI::App& app, Program& program) {
    const auto options = std::make_shared<CopyOptions>();
    CLI::App* command =
        add_command(app, "cp",
                    "Copy files or directories into a box, out of it, or to another box\n\n"
                    "A side in a box is BOX:PATH. Paths in a box are absolute, below its work directory, or ~/ for\n"
                    "the home of boxuser. Modes, times, links and empty directories come along both ways; what\n"
                    "goes in is boxuser's, what comes out is yours, its modes as your umask has them. Links\n"
                    "come as links and lead where the box says: cp replaces one that is there and never writes\n"
                    "through it; other programs may. Sockets, FIFOs and devices are left out, and told.",
                    "hutch cp report.pdf data.csv web:docs/\n  hutch cp web:/var/log ./log\n"
                    "  hutch cp web:notes.txt worker:\n  hutch cp web:notes.txt - | less");
    command
        ->add_option("SRC", options->places,
                     "What to copy, one or many, and last where to: `-` is standard input\nor output, many go into a "
                     "directory")
        ->required()
        ->expected(1, 100'000);
    run_on(command, program, options, copy);
}

}  // namespace hutch::client
