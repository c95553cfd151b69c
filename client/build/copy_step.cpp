#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>

#include "base/file.h"
#include "base/text.h"
#include "base/undo.h"
#include "client/build/steps.h"
#include "client/place.h"
#include "client/process.h"
#include "client/source.h"

namespace hutch::client {
namespace {

/// Where a copy goes.
struct CopyTarget {
    std::string path;        ///< absolute
    bool directory = false;  ///< it was written as one
};

struct CopySource {
    std::string path;                   ///< as it was found
    const Heredoc* text = nullptr;      ///< it is this, expanded into `path`'s content
    std::string content{};              ///< of that
    BuildContext::Entry entry{};        ///< of the context
    std::vector<std::string> unpack{};  ///< ADD of an archive: the program and arguments that write it plain
};

struct Copying {
    CopyTarget target;
    std::vector<CopySource> sources;
    std::string owner, mode;  ///< as --chown and --chmod have them
    std::string from;
};

std::string parent_path(const std::string& path) {
    const size_t slash = path.rfind('/');
    return slash == 0 || slash == std::string::npos ? "/" : path.substr(0, slash);
}

/// A directory of this machine that is gone when we are.
struct ScratchDirectory {
    std::string path = std::filesystem::temp_directory_path() / "hutch-XXXXXX";
    ScratchDirectory() = default;
    ScratchDirectory(const ScratchDirectory&) = delete;
    ScratchDirectory& operator=(const ScratchDirectory&) = delete;
    ~ScratchDirectory() { (void)remove_tree_at(AT_FDCWD, path); }
    Result<UniqueFd> make() {
        if (mkdtemp(path.data()) == nullptr) return errno_error("making directory " + path);
        return open_at(AT_FDCWD, path, O_RDONLY | O_DIRECTORY);
    }
};

Result<UniqueFd> make_file(int directory, const std::string& name) {
    return open_at(directory, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
}

/// What writes a tar archive plain; nothing for a file that is none.
Result<std::vector<std::string>> unpacker_of(const BuildContext& context, const BuildContext::Entry& entry) {
    const UniqueFd file = TRY(context.open_file(entry));
    std::array<char, 512> head{};
    const ssize_t size = ::read(file.get(), head.data(), head.size());
    if (size < 0) return errno_error("reading " + entry.path);
    const std::string_view bytes(head.data(), static_cast<size_t>(size));
    const std::string path = join_path(context.directory(), entry.real);
    using Words = std::vector<std::string>;
    if (bytes.size() == head.size() && bytes.substr(257, 5) == "ustar") return Words{"cat", "--", path};
    Words words;
    if (bytes.starts_with("\x1f\x8b")) words = {"gzip", "-dc", "--", path};
    if (bytes.starts_with("BZh")) words = {"bzip2", "-dc", "--", path};
    if (bytes.starts_with(std::string_view("\xfd"
                                           "7zXZ\0",
                                           6)))
        words = {"xz", "-dc", "--", path};
    if (bytes.starts_with("\x28\xb5\x2f\xfd")) words = {"zstd", "-dcq", "--", path};
    if (words.empty()) return words;
    Process process = TRY(Process::start(words.front(), words));
    std::string plain;
    while (plain.size() < head.size()) {
        const ssize_t got = ::read(process.pipe(), head.data(), head.size());
        if (got <= 0) break;
        plain.append(head.data(), static_cast<size_t>(got));
    }
    const bool tar = plain.size() >= head.size() && plain.compare(257, 5, "ustar") == 0;
    return tar ? words : Words();
}

Result<void> refuse_remote(const Instruction& one, const std::string& source) {
    if (!is_web_address(source) && !source.starts_with("git@") && !source.starts_with("git://")) return {};
    return invalid(one.name + " of \"" + source +
                   "\" is not done here; fetch it in a RUN (curl -fsSL or git clone), "
                   "or before the build, and COPY it");
}

Result<void> find_sources(const StepKit& kit, const StageWords& words, const Instruction& one,
                          const std::vector<std::string>& named, Copying& copying) {
    for (const std::string& source : named) {
        if (const Heredoc* text = StageWords::heredoc_of(one, source)) {
            CopySource here{.path = text->name, .text = text};
            here.content = text->expands ? TRY(words.expanded(one, text->content)) : text->content;
            copying.sources.push_back(std::move(here));
            continue;
        }
        TRY(refuse_remote(one, source));
        for (const BuildContext::Entry& entry : TRY(kit.context.find(source))) {
            CopySource here{.path = entry.path, .entry = entry};
            if (one.name == "ADD" && !entry.directory) here.unpack = TRY(unpacker_of(kit.context, entry));
            copying.sources.push_back(std::move(here));
        }
    }
    return {};
}

Result<std::string> digest_of(const StepKit& kit, const Instruction& one, const Copying& copying) {
    Digest digest;
    digest.add(one.name).add(copying.target.path).add(copying.target.directory ? "/" : "");
    digest.add(copying.owner).add(copying.mode);
    for (const CopySource& source : copying.sources) {
        digest.add(source.path).add(source.entry.directory ? "directory" : "file");
        if (source.text != nullptr) {
            digest.add(source.content);
        } else {
            TRY(kit.context.add_to(digest, source.entry));
        }
    }
    return digest.hex();
}

/// A file's name in its folder, where the target is written as a directory or is one.
struct FilePlace {
    std::string folder, name;
};

Result<FilePlace> place_of(Workshop& shop, const CopyTarget& target, const std::string& source) {
    const bool into = target.directory || TRY(shop.kind_of(target.path)) == Workshop::Kind::kDirectory;
    if (into) return FilePlace{target.path, base_name(source)};
    return FilePlace{parent_path(target.path), base_name(target.path)};
}

Result<CopiedAs> copied_as(Workshop& shop, const Copying& copying, const std::string& otherwise) {
    return CopiedAs{copying.owner.empty() ? otherwise : TRY(shop.owner_of(copying.owner)), copying.mode};
}

Result<void> copy_here(const BuildContext& context, const Copying& copying, Workshop& shop) {
    const CopiedAs as = TRY(copied_as(shop, copying, "0:0"));
    for (const CopySource& source : copying.sources) {
        if (!source.unpack.empty()) {
            Process process = TRY(Process::start(source.unpack.front(), source.unpack));
            const CopiedAs of_archive = TRY(copied_as(shop, copying, "archive"));
            TRY_IN(source.path, shop.unpack(copying.target.path, process_source(std::move(process)), of_archive));
            continue;
        }
        if (source.entry.directory) {
            BodySource packed = pack_source(TRY(context.pack(source.entry, "")));
            TRY_IN(source.path, shop.unpack(copying.target.path, std::move(packed), as));
            continue;
        }
        const FilePlace place = TRY(place_of(shop, copying.target, source.path));
        auto packed =
            source.text != nullptr ? pack_of_text(source.content, place.name) : context.pack(source.entry, place.name);
        BodySource archive = pack_source(TRY(std::move(packed)));
        TRY_IN(source.path, shop.unpack(place.folder, std::move(archive), as));
    }
    return {};
}

Result<void> copy_from(const StepKit& kit, const BuildFiles& files, const std::vector<std::string>& named,
                       const Copying& copying, Workshop& shop) {
    Workshop other(kit.api, kit.afterwards);
    TRY(other.open(files));
    const CopiedAs as = TRY(copied_as(shop, copying, "archive"));
    std::vector<std::string> paths;
    for (const std::string& source : named) {
        const std::string wanted = lexical_path("/" + source);
        const auto list = [&other](const std::string& path) { return other.names_in(path); };
        const auto found = TRY(fitting_paths(wanted, list));
        paths.insert(paths.end(), found.begin(), found.end());
        if (found.empty()) return Error{ErrorKind::kNotFound, 0, "\"" + source + "\" fits nothing in " + copying.from};
    }
    if (paths.size() > 1 && !copying.target.directory) {
        return invalid("many files go into a directory; write a / after \"" + copying.target.path + "\"");
    }
    for (const std::string& path : paths) {
        const Workshop::Kind kind = TRY(other.kind_of(path));
        if (kind == Workshop::Kind::kNone) {
            return Error{ErrorKind::kNotFound, 0, "\"" + path + "\" is not in " + copying.from};
        }
        FilePlace place{copying.target.path, ""};
        if (kind != Workshop::Kind::kDirectory) place = TRY(place_of(shop, copying.target, path));
        TRY_IN(path, copy_between(other, path, shop, place.folder, place.name, as));
    }
    return other.close();
}

Result<Copying> decode_copy(const StageWords& words, const Instruction& one, std::vector<std::string>& named) {
    named = TRY(words.words(one));
    if (named.size() < 2) return invalid(one.name + " needs what to copy, and where to");
    const std::string to = named.back();
    named.pop_back();
    Copying copying;
    copying.target.path = words.absolute(to);
    copying.target.directory = to.empty() || to.ends_with('/') || to == "." || to.ends_with("/.") || to == "..";
    copying.owner = TRY(words.expanded(one, one.flag("chown")));
    copying.mode = TRY(words.expanded(one, one.flag("chmod")));
    copying.from = one.flag("from");
    const bool octal = copying.mode.size() <= 4 && copying.mode.find_first_not_of("01234567") == std::string::npos;
    if (!octal) return invalid("--chmod=" + copying.mode + " must be octal digits, as 755");
    return copying;
}

Result<Step> copy_step_here(const StepKit& kit, const StageWords& words, const Instruction& one) {
    std::vector<std::string> named;
    auto copying = std::make_shared<Copying>(TRY(decode_copy(words, one, named)));
    if (!copying->from.empty()) {
        if (!one.heredocs.empty()) return invalid(one.name + " --from takes no text of its own");
        const StageFiles from = TRY(kit.files_of(copying->from));
        Digest digest;
        digest.add(one.name).add(copying->target.path).add(copying->target.directory ? "/" : "");
        digest.add(copying->owner).add(copying->mode).add(from.digest);
        for (const std::string& source : named) digest.add(source);
        return Step{.digest = digest.hex(), .act = [&kit, files = from.files, named, copying](Workshop& shop) {
                        return copy_from(kit, files, named, *copying, shop);
                    }};
    }
    TRY(find_sources(kit, words, one, named, *copying));
    if (copying->sources.size() > 1 && !copying->target.directory) {
        return invalid("many files go into a directory; write a / after \"" + copying->target.path + "\"");
    }
    return Step{.digest = TRY(digest_of(kit, one, *copying)),
                .act = [&kit, copying](Workshop& shop) { return copy_here(kit.context, *copying, shop); }};
}

}  // namespace

Result<Step> copy_step(const StepKit& kit, const StageWords& words, const Instruction& one) {
    return copy_step_here(kit, words, one);
}

Result<archives::Pack> pack_of_text(const std::string& content, const std::string& name) {
    ScratchDirectory scratch;
    const UniqueFd directory = TRY(scratch.make());
    const UniqueFd file = TRY(make_file(directory.get(), "text"));
    TRY(write_all(file.get(), content));
    if (fchmod(file.get(), 0644) != 0) return errno_error("setting a mode");
    return archives::Pack::open(directory.get(), "text", name);
}

// What a directory holds comes as its own tar wrote it, with its owners; a file without, as root's.
Result<void> copy_between(Workshop& from, const std::string& path, Workshop& to, const std::string& folder,
                          const std::string& name, const CopiedAs& as) {
    const auto response = std::make_shared<Response>(TRY(from.download(path)));
    if (response->content_type() == "application/x-tar") {
        return to.unpack(
            folder, [response] { return response->read(); }, as);
    }
    ScratchDirectory scratch;
    const UniqueFd directory = TRY(scratch.make());
    const UniqueFd file = TRY(make_file(directory.get(), "file"));
    TRY(pour(*response, file.get(), path));
    const auto mode = static_cast<mode_t>(std::strtoul(response->header("X-File-Mode").c_str(), nullptr, 8));
    if (fchmod(file.get(), mode & 0777) != 0) return errno_error("setting a mode");
    CopiedAs as_file = as;
    if (as.owner == "archive") as_file.owner = "0:0";
    return to.unpack(folder, pack_source(TRY(archives::Pack::open(directory.get(), "file", name))), as_file);
}

}  // namespace hutch::client
