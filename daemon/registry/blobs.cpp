#include "daemon/registry/blobs.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <set>

#include "base/file.h"
#include "base/undo.h"
#include "daemon/clock.h"
#include "daemon/digest.h"
#include "daemon/log.h"

namespace hutch::daemon {
namespace {

constexpr int64_t kKeptSeconds = 24 * 3600;
constexpr int64_t kMostLeft = 8LL << 30;     // bytes of files that nobody fetches
constexpr int64_t kSomeProgress = 1 << 20;   // bytes, after which breaking off is forgiven
constexpr int64_t kHashedAtOnce = 64 << 20;  // bytes of an old file; then who gave up may leave
constexpr std::chrono::milliseconds kBreaks[] = {std::chrono::milliseconds(200), std::chrono::seconds(1),
                                                 std::chrono::seconds(5)};

std::string spool_name(const std::string& customer, const std::string& digest) {
    return digest.substr(digest.find(':') + 1) + "." + customer;
}

struct OldFile {
    std::string name;
    int64_t bytes = 0;
    int64_t changed_at = 0;
};

// Deletes the files that are too old, then the oldest until the rest is little enough.
void sweep_files(int directory, const std::set<std::string>& needed) {
    const auto names = names_in(directory);
    if (!names.ok()) return;
    std::vector<OldFile> files;
    int64_t sum = 0;
    for (const std::string& name : names.value()) {
        struct stat status {};
        if (needed.contains(name) || fstatat(directory, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) continue;
        files.push_back({name, int64_t{status.st_blocks} * 512, status.st_mtim.tv_sec});
        sum += files.back().bytes;
    }
    std::sort(files.begin(), files.end(), [](const auto& a, const auto& b) { return a.changed_at < b.changed_at; });
    for (const OldFile& file : files) {
        if (sum <= kMostLeft && file.changed_at + kKeptSeconds > unix_now()) break;
        if (unlinkat(directory, file.name.c_str(), 0) == 0) sum -= file.bytes;
    }
}

}  // namespace

struct Blobs::Mark {
    explicit Mark(const asio::any_io_executor& executor) : changed(executor) {}
    bool taken = false;  ///< somebody is fetching it
    Signal changed;
};

struct Blobs::Spool {
    UniqueFd fd;
    std::string name;
    int64_t size = 0;  ///< of the whole blob
    int64_t at = 0;    ///< what is written and hashed
    Sha256 hash;

    Result<void> add(std::string_view piece) {
        for (std::string_view rest = piece; !rest.empty();) {
            const ssize_t done = pwrite(fd.get(), rest.data(), rest.size(), at);
            if (done < 0 && errno == EINTR) continue;
            if (done < 0) return errno_error("writing a blob");
            hash.add(rest.substr(0, static_cast<size_t>(done)));
            at += done;
            rest.remove_prefix(static_cast<size_t>(done));
        }
        return {};
    }
    /// The next part of what an earlier fetch has left; 0 at its end.
    Result<int64_t> hash_some(int64_t most) {
        std::string buffer(1 << 20, '\0');
        int64_t done = 0;
        while (done < most) {
            const ssize_t got = pread(fd.get(), buffer.data(), buffer.size(), at);
            if (got < 0 && errno == EINTR) continue;
            if (got < 0) return errno_error("reading a blob");
            if (got == 0) break;
            hash.add(std::string_view(buffer).substr(0, static_cast<size_t>(got)));
            at += got;
            done += got;
        }
        return done;
    }
    Result<void> start_over() {
        at = 0;
        if (ftruncate(fd.get(), 0) != 0) return errno_error("emptying a blob");
        hash = Sha256();
        return {};
    }
};

Result<std::unique_ptr<Blobs>> Blobs::open(asio::any_io_executor executor, const std::string& directory) {
    TRY(make_dirs_at(AT_FDCWD, directory, 0700));
    UniqueFd fd = TRY(open_at(AT_FDCWD, directory, O_RDONLY | O_DIRECTORY));
    sweep_files(fd.get(), {});
    return std::unique_ptr<Blobs>(new Blobs(std::move(executor), std::move(fd)));
}

void Blobs::sweep() {
    std::erase_if(needed_, [](const auto& entry) { return entry.second.expired(); });
    std::set<std::string> needed;
    for (const auto& [name, mark] : needed_) needed.insert(name);
    spoolers_.run_behind([directory = directory_.get(), needed] { sweep_files(directory, needed); });
}

// By a worker, as all that empties files: of a large one that takes its time.
Task<> Blobs::unlink_all(std::vector<std::string> names) {
    const auto work = [&] {
        for (const std::string& name : names) unlinkat(directory_.get(), name.c_str(), 0);
        return true;
    };
    (void)co_await spoolers_.run(work);
}

Task<Result<void>> Blobs::start_over(Spool& spool) {
    co_return co_await spoolers_.run([&spool] { return spool.start_over(); });
}

Task<> Blobs::drop(std::string customer, std::vector<std::string> digests) {
    std::erase_if(needed_, [](const auto& entry) { return entry.second.expired(); });
    std::vector<std::string> names;
    for (const std::string& digest : digests) {
        std::string name = spool_name(customer, digest);
        if (!needed_.contains(name)) names.push_back(std::move(name));
    }
    co_await unlink_all(std::move(names));
}

Task<Result<SpooledBlob>> Blobs::fetch(std::shared_ptr<Repository> from, std::string customer, std::string digest,
                                       int64_t size, Heard heard) {
    std::string name = spool_name(customer, digest);
    std::shared_ptr<Mark> mark = needed_[name].lock();
    if (!mark) {
        mark = std::make_shared<Mark>(executor_);
        needed_[name] = mark;
    }
    while (mark->taken) {
        co_await mark->changed.wait();
    }
    mark->taken = true;
    const Undo free([mark] {
        mark->taken = false;
        mark->changed.notify();
    });
    const auto turn = co_await fetching_.take(std::move(customer));
    auto blob = co_await fetch_alone(std::move(from), std::move(digest), size, std::move(name), std::move(heard));
    if (blob.ok()) blob.value().kept = mark;
    sweep();
    co_return std::move(blob);
}

Task<Result<SpooledBlob>> Blobs::fetch_alone(std::shared_ptr<Repository> from, std::string digest, int64_t size,
                                             std::string name, Heard heard) {
    Spool spool;
    spool.name = name;
    spool.size = size;
    constexpr int kFlags = O_RDWR | O_CREAT | O_NOFOLLOW;
    CO_TRY_LET(spool.fd, open_at(directory_.get(), name, kFlags, 0600));
    CO_TRY(co_await hash_old(spool));
    for (bool resumed = spool.at > 0;; resumed = false) {
        auto filled = co_await fill(*from, digest, spool, heard);
        if (!filled.ok()) {
            if (filled.error().out_of_space()) co_await unlink_all(std::vector(1, name));
            co_return std::move(filled).error();
        }
        const std::string is = "sha256:" + spool.hash.hex();
        if (is == digest) break;
        CO_TRY(co_await start_over(spool));
        // What lay here may have been damaged by a failure of power; what has come just now was not.
        if (resumed) continue;
        co_await unlink_all(std::vector(1, name));
        co_return Error{ErrorKind::kConflict, 0, from->name() + ": its blob " + digest + " is another: " + is};
    }
    SpooledBlob blob;
    CO_TRY_LET(blob.file, open_at(directory_.get(), name, O_RDONLY | O_NOFOLLOW));
    co_return std::move(blob);
}

Task<Result<void>> Blobs::hash_old(Spool& spool) {
    struct stat status {};
    if (fstat(spool.fd.get(), &status) != 0) co_return errno_error("reading a blob");
    if (status.st_size > spool.size) co_return co_await start_over(spool);
    for (;;) {
        CO_TRY_LET(const int64_t done, co_await spoolers_.run([&spool] { return spool.hash_some(kHashedAtOnce); }));
        if (done == 0) co_return Result<void>();
    }
}

Task<Result<void>> Blobs::fill(Repository& from, const std::string& digest, Spool& spool, const Heard& heard) {
    int64_t furthest = spool.at;
    for (size_t breaks = 0; spool.at < spool.size; ++breaks) {
        auto came = co_await fill_once(from, digest, spool, heard);
        if (spool.at == spool.size && came.ok()) break;
        if (came.ok()) came = Error{ErrorKind::kConflict, 0, from.name() + ": its blob " + digest + " ends too early"};
        if (came.error().kind != ErrorKind::kConflict) co_return std::move(came).error();
        if (spool.at - furthest >= kSomeProgress) {
            furthest = spool.at;
            breaks = 0;
        }
        if (breaks == std::size(kBreaks)) co_return std::move(came).error();
        asio::steady_timer pause(executor_, kBreaks[breaks]);
        co_await pause.async_wait(kAwait);
    }
    co_return Result<void>();
}

// Until it ends or breaks off.
Task<Result<void>> Blobs::fill_once(Repository& from, const std::string& digest, Spool& spool, const Heard& heard) {
    CO_TRY_LET(Repository::Stream stream, co_await from.blob(digest, spool.at));
    if (stream.from != spool.at) {
        CO_TRY(co_await start_over(spool));
    }
    for (;;) {
        CO_TRY_LET(const std::string piece, co_await stream.fetch->read());
        if (piece.empty()) co_return Result<void>();
        if (spool.at + static_cast<int64_t>(piece.size()) > spool.size) {
            co_return Error{ErrorKind::kInvalid, 0,
                            from.name() + ": its blob " + digest + " is larger than its manifest says"};
        }
        CO_TRY(co_await spoolers_.run([&spool, &piece] { return spool.add(piece); }));
        heard(spool.at);
    }
}

}  // namespace hutch::daemon
