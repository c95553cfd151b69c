// A hostile archive, of an image and of a copy out of a box: all of it lies beneath its root, within the limits.

#include "archives/tar.h"

#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>

#include "base/file.h"
#include "tests/fuzz/pieces.h"

using namespace hutch;

namespace {

constexpr archives::TreeLimits kLimits{.bytes = 4U << 20, .entries = 200};
uint64_t seen = 0;  ///< by nftw(3), which passes nothing on

int look_at(const char* /*path*/, const struct stat* status, int /*kind*/, FTW* at) {
    const mode_t type = status->st_mode & S_IFMT;
    must(type == S_IFREG || type == S_IFDIR || type == S_IFLNK);
    if (at->level > 0) ++seen;
    return 0;
}

// The sum of each header is made right, or hardly a change of one would be looked at.
std::string with_sums(const uint8_t* data, size_t size) {
    constexpr size_t kBlock = 512, kSum = 148, kSumSize = 8, kMagic = 257;
    std::string archive(reinterpret_cast<const char*>(data), size);
    for (size_t at = 0; at + kBlock <= size; at += kBlock) {
        if (archive.compare(at + kMagic, 5, "ustar") != 0) continue;
        archive.replace(at + kSum, kSumSize, kSumSize, ' ');
        unsigned sum = 0;
        for (size_t i = 0; i < kBlock; ++i) sum += static_cast<unsigned char>(archive[at + i]);
        char digits[kSumSize];
        snprintf(digits, sizeof(digits), "%06o", sum);
        archive.replace(at + kSum, 7, digits, 7);
    }
    return archive;
}

std::vector<std::string> names_beneath(const std::string& directory) {
    const UniqueFd opened(open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    auto names = names_in(opened.get());
    must(names.ok());
    return std::move(names).value();
}

/// A directory for the root of each archive in turn, with nothing beside it.
struct Ground {
    Ground() {
        char name[] = "/tmp/hutch-fuzz-XXXXXX";
        must(mkdtemp(name) != nullptr);
        directory = name;
    }
    Ground(const Ground&) = delete;
    Ground& operator=(const Ground&) = delete;
    ~Ground() { (void)remove_tree_at(AT_FDCWD, directory); }

    std::string directory;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    static const Ground ground;
    if (size == 0) return 0;
    const bool copy = data[0] % 2 == 1;
    const std::string archive = with_sums(data + 1, size - 1);
    std::string_view rest = archive;
    const archives::Pull pull = [&rest](char* buffer, size_t room) -> Result<size_t> {
        const size_t taken = std::min(room, rest.size());
        std::memcpy(buffer, rest.data(), taken);
        rest.remove_prefix(taken);
        return taken;
    };
    const std::string path = ground.directory + "/root";
    must(mkdir(path.c_str(), 0755) == 0);
    {
        const UniqueFd root(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        const auto report =
            copy ? archives::unpack_copy(pull, root.get(), "into") : archives::unpack_layer(pull, root.get(), kLimits);
        seen = 0;
        must(nftw(path.c_str(), look_at, 16, FTW_PHYS) == 0);
        must(!report.ok() || copy || (seen <= kLimits.entries && report.value().bytes <= kLimits.bytes));
        for (const std::string& name : names_beneath(path)) must(!copy || name == "into");
    }
    must(names_beneath(ground.directory).size() == 1);  // nothing went up
    must(remove_tree_at(AT_FDCWD, path).ok());
    return 0;
}
