// Files of a box: read, write, list, upload, download.

#include "daemon/files/files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <charconv>

#include "base/file.h"
#include "base/undo.h"
#include "daemon/api/json_rows.h"
#include "daemon/api/resources.h"
#include "daemon/clock.h"
#include "daemon/wire/multipart.h"

namespace hutch::daemon {
namespace {

using Answer = Task<Result<std::optional<Response>>>;

constexpr uint64_t kMaxRead = 64ULL * 1024 * 1024;
constexpr int64_t kMaxPart = 8 * 1024 * 1024;   // of a file, where its reader says which
constexpr size_t kMaxWrite = 64 * 1024 * 1024;  // of the JSON that carries the content
constexpr size_t kMaxUploads = 10'000;
constexpr size_t kFilesInATurn = 8;  // of an upload: the way to each may be long
constexpr const char* kTar = "application/x-tar";

/// What work on another thread holds together with who waits for it.
template <typename T>
Result<std::shared_ptr<T>> shared(Result<T> made) {
    return std::make_shared<T>(TRY(std::move(made)));
}

/// Of a file, as ?offset= and ?length= say it.
struct Part {
    uint64_t offset = 0;
    std::optional<size_t> length;
};

/// Nothing where neither is said: all of it.
Result<std::optional<Part>> decode_part(const Request& request) {
    constexpr int64_t kUnsaid = -1;
    const int64_t offset = TRY(query_number(request, "offset", kUnsaid, INT64_MAX));
    const int64_t length = TRY(query_number(request, "length", kUnsaid, kMaxPart + 1));
    if (offset == kUnsaid && length == kUnsaid) return std::optional<Part>();
    if (length > kMaxPart) return invalid("length: must be at most 8388608 bytes");
    Part part{static_cast<uint64_t>(std::max<int64_t>(offset, 0)), {}};
    if (length != kUnsaid) part.length = static_cast<size_t>(length);
    return std::optional(part);
}

Result<std::string> read_file(const Files& files, const std::string& path, const std::optional<Part>& part,
                              const Files::Charge& charge) {
    if (!part) return files.read(path, kMaxRead, charge);
    std::string content = TRY(files.read_part(path, part->offset, part->length.value_or(kMaxPart + 1), charge));
    if (content.size() <= kMaxPart) return content;
    return invalid("length: must be said, at most 8388608 bytes: more than that follows the offset");
}

Answer read(Services& services, Exchange& exchange, const Params& params) {
    const std::string path = query_text(exchange, "path");
    const std::string encoding = query_text(exchange, "encoding");
    if (!encoding.empty() && encoding != "base64") co_return invalid("encoding: must be base64, or left out for text");
    CO_TRY_LET(const auto part, decode_part(exchange.request()));
    CO_TRY_LET(const auto box, co_await awake_box(services, exchange, params));
    CO_TRY_LET(const Files files, files_of(services, *box));
    MemoryShare& memory = exchange.memory();
    const auto charge = [&memory](size_t bytes) { return memory.grow(bytes); };
    CO_TRY_LET(std::string content, co_await services.boxes.workers().run_for(
                                        box->record.customer, [&] { return read_file(files, path, part, charge); }));
    if (!encoding.empty()) {
        CO_TRY(memory.grow(content.size() / 3 * 4 + 4));
        const auto encode = [&content] { return encode_base64(std::exchange(content, {})); };
        content = co_await exchange.decode(content.size(), encode);
    }
    Json json = Json::object();
    json["content"] = std::move(content);
    co_return std::optional(answer(std::move(json)));
}

Answer write(Services& services, Exchange& exchange, const Params& params) {
    CO_TRY_LET(Fields fields, co_await read_fields(exchange, kMaxWrite));
    CO_TRY_LET(const std::string path, fields.required_text("path"));
    CO_TRY_LET(std::string content, fields.take_text("content"));
    CO_TRY_LET(const std::string encoding, fields.text_or("encoding", ""));
    if (!encoding.empty() && encoding != "base64") co_return invalid("encoding: must be base64, or left out for text");
    if (!encoding.empty()) {
        CO_TRY(exchange.memory().grow(2 * content.size()));
        const auto decode = [&content] { return decode_base64("content", std::exchange(content, {})); };
        CO_TRY_LET(content, co_await exchange.decode(content.size(), decode));
    }
    CO_TRY_LET(const auto box, co_await awake_box(services, exchange, params));
    CO_TRY_LET(const Files files, files_of(services, *box));
    CO_TRY(co_await services.boxes.workers().run_for(box->record.customer, [&] { return files.write(path, content); }));
    co_return std::optional(Response{});
}

Answer list(Services& services, Exchange& exchange, const Params& params) {
    const std::string folder = query_text(exchange, "folder");
    CO_TRY_LET(const auto box, co_await awake_box(services, exchange, params));
    CO_TRY_LET(const Files files, files_of(services, *box, "folder"));
    const auto charge = [&memory = exchange.memory()](size_t bytes) { return memory.grow(bytes); };
    const auto list = [&]() -> Result<std::string> {
        JsonRows rows("files", exchange.memory());
        const std::string path = files.absolute(folder);
        for (const FileEntry& entry : TRY(files.list(folder.empty() ? path : folder, charge))) {
            TRY(rows.add({{"name", entry.name},
                          {"path", path + (path.ends_with('/') ? "" : "/") + entry.name},
                          {"size", entry.size},
                          {"is_dir", entry.is_dir},
                          {"mod_time", rfc3339(entry.mod_time)},
                          {"type", entry.type},
                          {"target", entry.type == "link" ? Json(entry.target) : Json()}}));
        }
        return rows.finish();
    };
    CO_TRY_LET(std::string rows, co_await services.boxes.workers().run_for(box->record.customer, list));
    co_return std::optional(Response{200, std::move(rows), "application/json"});
}

// `paths` fields and `files` parts are paired in order, so a file's path must have come before its content: what
// comes first is written first, and of the rest the fields alone are held. `modes` and `mtimes` are of the path before
// them.
struct Upload {
    explicit Upload(MemoryShare& its_memory) : memory(its_memory) {}
    struct Place {
        std::string path, mode, mtime;
    };
    MemoryShare& memory;
    std::vector<Place> places;
    size_t files = 0;
    std::string field;            ///< the part under way; "files" writes to `file`,
    std::string* text = nullptr;  ///< others into this
    Replacement file;
};

template <typename T>
std::optional<T> number_of(std::string_view text, int base) {
    T value{};
    const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value, base);
    if (failed != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return value;
}

Result<mode_t> mode_of(const std::string& text) {
    const auto mode = number_of<mode_t>(text, 8);
    if (!mode || *mode > 0777) return invalid("modes: \"" + text + "\" must be octal digits up to 777, as 644");
    return *mode;
}

/// "SECONDS" or "SECONDS.NANOSECONDS", the latter of nine digits.
Result<timespec> time_of(const std::string& text) {
    constexpr size_t kDigits = 9;
    const size_t dot = std::min(text.find('.'), text.size());
    const auto seconds = number_of<int64_t>(std::string_view(text).substr(0, dot), 10);
    const auto rest = dot < text.size() ? number_of<uint32_t>(std::string_view(text).substr(dot + 1), 10) : 0;
    if (!seconds || !rest || (dot < text.size() && text.size() - dot - 1 != kDigits)) {
        return invalid("mtimes: \"" + text + "\" must be seconds since 1970, as 1700000000 or 1700000000.000000000");
    }
    return timespec{*seconds, static_cast<long>(*rest)};
}

Result<void> begin_file(const Files& files, Upload& upload) {
    if (upload.files >= upload.places.size()) {
        return invalid("paths: each part of \"files\" needs its own \"paths\" field before it");
    }
    const Upload::Place& place = upload.places[upload.files++];
    upload.file = TRY(files.replace(place.path));
    if (!place.mode.empty()) upload.file.set_mode(TRY(mode_of(place.mode)));
    if (!place.mtime.empty()) upload.file.set_time(TRY(time_of(place.mtime)));
    return {};
}

Result<void> begin_part(const Files& files, Upload& upload) {
    upload.text = nullptr;
    if (upload.field == "files") return begin_file(files, upload);
    if (upload.field == "paths") {
        TRY(upload.memory.grow(sizeof(Upload::Place)));
        upload.text = &upload.places.emplace_back().path;
    }
    if (upload.places.size() > kMaxUploads) return invalid("paths: at most 10000 in one upload");
    const bool mode = upload.field == "modes";
    if (!mode && upload.field != "mtimes") return {};
    if (upload.places.empty()) return invalid(upload.field + ": each is of the \"paths\" field before it");
    upload.text = mode ? &upload.places.back().mode : &upload.places.back().mtime;
    return {};
}

Result<void> apply(const Files& files, Upload& upload, const Multipart::Event& event) {
    switch (event.kind) {
        case Multipart::Event::Kind::kPart:
            upload.field = event.name;
            return begin_part(files, upload);
        case Multipart::Event::Kind::kData:
            if (upload.field == "files") {
                TRY(upload.file.write(event.data));
            } else if (upload.text != nullptr) {
                TRY(upload.memory.grow(event.data.size()));
                *upload.text += event.data;
                if (upload.text->size() > 4096) return invalid(upload.field + ": must be shorter than 4096 characters");
            }
            break;
        case Multipart::Event::Kind::kPartEnd:
            if (upload.field == "files") TRY(upload.file.finish());
            break;
    }
    return {};
}

/// What a piece of an upload's body brings.
struct Events {
    Events(Multipart& its_multipart, const std::string& its_piece) : multipart(its_multipart), piece(its_piece) {}
    Multipart& multipart;
    const std::string& piece;
    std::vector<Multipart::Event> all;
    size_t taken = 0;
};

/// A few files' share of it; true where more is left.
Result<bool> take_some(const Files& files, Upload& upload, Events& events) {
    if (events.all.empty()) events.all = TRY(events.multipart.feed(events.piece));
    const size_t begin = upload.files;
    while (events.taken < events.all.size() && upload.files - begin < kFilesInATurn) {
        TRY(apply(files, upload, events.all[events.taken++]));
    }
    return events.taken < events.all.size();
}

/// As ?owner= and ?mode= say it; nothing where neither is said: all is boxuser's.
Result<std::optional<archives::Ownership>> decode_ownership(const Exchange& exchange) {
    const std::string owner = query_text(exchange, "owner");
    const std::string mode = query_text(exchange, "mode");
    if (owner.empty() && mode.empty()) return std::optional<archives::Ownership>();
    archives::Ownership ownership;
    if (!mode.empty()) {
        ownership.mode = number_of<mode_t>(mode, 8);
        if (!ownership.mode || *ownership.mode > 07777) {
            return invalid("mode: \"" + mode + "\" must be octal digits up to 7777, as 644");
        }
    }
    if (owner == "archive") return std::optional(ownership);
    const size_t colon = std::min(owner.find(':'), owner.size());
    const std::string_view text = owner;
    const auto uid = number_of<uint16_t>(text.substr(0, colon), 10);
    const auto gid = number_of<uint16_t>(text.substr(std::min(colon + 1, owner.size())), 10);
    if (!uid || !gid) {
        return invalid("owner: \"" + owner + "\" must be \"archive\", or UID:GID in numbers up to 65535, as 1000:1000");
    }
    ownership.owner = archives::Owner{*uid, *gid};
    return std::optional(ownership);
}

Answer upload_tree(Services& services, Exchange& exchange, const std::shared_ptr<Box>& box) {
    const std::string folder = query_text(exchange, "folder");
    CO_TRY_LET(const auto ownership, decode_ownership(exchange));
    Habits habits = services.images.usual_of(*box).habits();
    if (ownership) {
        const archives::Owner maker = ownership->owner.value_or(archives::Owner());
        habits.uid = maker.uid;
        habits.gid = maker.gid;
    }
    CO_TRY_LET(const auto files, shared(Files::of(*box, "folder", habits)));
    const auto make = [&] { return files->make_directory(files->absolute(folder)); };
    CO_TRY_LET(const auto directory, shared(co_await services.boxes.workers().run_for(box->record.customer, make)));
    const auto report = std::make_shared<archives::TarReport>();
    const auto work = [files, directory, report, ownership](int archive) -> Result<void> {
        *report = TRY(files->unpack(directory->get(), archive, ownership));
        return {};
    };
    CO_TRY(co_await services.unpackers.run("an upload to box " + box->record.id, box->record.customer, work,
                                           [&exchange] { return exchange.read_some(); }));
    const uint64_t left_out = report->skipped_nodes + report->blocked;
    if (left_out == 0) co_return std::optional(Response{});
    co_return std::optional(answer(Json{{"left_out", left_out}, {"first_left_out", report->first_left_out}}));
}

Answer upload(Services& services, Exchange& exchange, const Params& params) {
    if (exchange.request().header("content-type") == kTar) {
        CO_TRY_LET(const auto box, co_await awake_box(services, exchange, params));
        co_return co_await upload_tree(services, exchange, box);
    }
    CO_TRY_LET(Multipart multipart, Multipart::open(exchange.request().header("content-type")));
    CO_TRY_LET(const auto box, co_await awake_box(services, exchange, params));
    CO_TRY_LET(const Files files, files_of(services, *box));
    Upload upload(exchange.memory());
    for (;;) {
        CO_TRY_LET(const std::string piece, co_await exchange.read_some());
        if (piece.empty()) break;
        Events events(multipart, piece);
        for (bool more = true; more;) {
            const auto take = [&] { return take_some(files, upload, events); };
            CO_TRY_LET(more, co_await services.boxes.workers().run_for(box->record.customer, take));
        }
    }
    if (!multipart.complete()) co_return invalid("body: ends before its closing multipart boundary");
    if (upload.files != upload.places.size() || upload.files == 0) {
        co_return invalid("files: there must be one part for each \"paths\" field, and at least one");
    }
    co_return std::optional(Response{});
}

std::vector<std::string> tar_of(const std::string& path, const Habits& habits) {
    return {"tar", "-C", absolute_path(path, habits), "-cf", "-", "."};
}

// tar runs inside the box: what it reads and how is the box's affair alone.
Answer download_directory(Services& services, Exchange& exchange, const std::shared_ptr<Box>& box,
                          const std::string& path) {
    Command command;
    command.argv = tar_of(path, services.images.usual_of(*box).habits());
    command.work_dir = "/";
    command.errors = Errors::kSeparate;
    command.recorded = false;
    // GNU tar reads them; a client that takes any archive gets the plainest one.
    if (!query_text(exchange, "exact").empty()) command.env.emplace_back("TAR_OPTIONS", "--format=posix --sparse");
    CO_TRY_LET(command.user, find_user("root"));
    CO_TRY_LET(const auto run, co_await services.runs.start(box, std::move(command), UniqueFd()));
    CO_TRY(co_await exchange.begin(200, kTar));
    const Sink forward = [&](std::string_view piece) -> Task<Result<void>> {
        auto written = co_await exchange.write(piece);
        if (!written.ok()) run->cancel();  // nobody else has use for what it still says
        co_return written;
    };
    const Sink drop = [](std::string_view) -> Task<Result<void>> { co_return Result<void>(); };
    CO_TRY_LET(const Outcome outcome, co_await run->follow(forward, drop, Reader::kClient));
    if (outcome.exit_code != 0) {  // no last chunk: the client sees it cut
        const std::string how = "its tar ended with " + std::to_string(outcome.exit_code);
        services.boxes.note(*box, "error", "a download of \"" + path + "\" was broken off: " + how);
        co_return Error{ErrorKind::kInvalid, 0, "folder: \"" + path + "\": " + how};
    }
    CO_TRY(co_await exchange.end());
    co_return std::optional<Response>();
}

std::map<std::string, std::string> headers_of(const struct stat& status) {
    char mode[8];
    char mtime[48];
    snprintf(mode, sizeof(mode), "%o", status.st_mode & 0777);
    snprintf(mtime, sizeof(mtime), "%lld.%09ld", static_cast<long long>(status.st_mtim.tv_sec), status.st_mtim.tv_nsec);
    return {{"X-File-Mode", mode}, {"X-File-Mtime", mtime}};
}

Answer download(Services& services, Exchange& exchange, const Params& params) {
    const std::string path = query_text(exchange, "folder");
    if (path.empty()) co_return invalid("folder: missing; give the path of a file or of a directory");
    CO_TRY_LET(const auto box, co_await awake_box(services, exchange, params));
    CO_TRY_LET(const Files files, files_of(services, *box, "folder"));
    CO_TRY_LET(const bool directory, co_await services.boxes.workers().run_for(
                                         box->record.customer, [&] { return files.is_directory(path); }));
    if (directory) {
        co_return co_await download_directory(services, exchange, box, path);
    }
    CO_TRY_LET(const UniqueFd fd, co_await services.boxes.workers().run_for(
                                      box->record.customer, [&] { return files.open_for_reading(path); }));
    struct stat status {};
    if (fstat(fd.get(), &status) != 0) co_return errno_error("folder: \"" + path + "\"");
    CO_TRY(co_await exchange.begin(200, "application/octet-stream", headers_of(status)));
    std::string piece(256 * 1024, '\0');
    for (;;) {
        CO_TRY_LET(const size_t n,
                   co_await services.boxes.workers().run_for(box->record.customer, [&]() -> Result<size_t> {
                       const ssize_t got = ::read(fd.get(), piece.data(), piece.size());
                       if (got < 0) return errno_error("folder: \"" + path + "\"");  // errno is the worker's
                       return static_cast<size_t>(got);
                   }));
        if (n == 0) break;
        CO_TRY(co_await exchange.write({piece.data(), n}));
    }
    CO_TRY(co_await exchange.end());
    co_return std::optional<Response>();
}

}  // namespace

void add_file_routes(Router& router, Services& services) {
    const auto add = [&](const char* method, const char* name, Answer (*handler)(Services&, Exchange&, const Params&)) {
        router.add(method, std::string("/v2/box/{id}/files/") + name, with(services, handler));
    };
    add("GET", "read", read);
    add("POST", "write", write);
    add("GET", "list", list);
    add("POST", "upload", upload);
    add("GET", "download", download);
}

}  // namespace hutch::daemon
