#include <archive.h>
#include <archive_entry.h>
#include <gtest/gtest.h>
#include <locale.h>
#include <sys/xattr.h>

#include <algorithm>
#include <functional>
#include <memory>

#include "overlayfs/overlay.h"
#include "overlayfs/recover.h"
#include "overlayfs/tar.h"
#include "tests/kernel/overlayfs_fixture.h"
#include "tests/kernel/tar_builder.h"

namespace hutch::overlayfs {
namespace {

constexpr TreeLimits kLimits{64U << 20, 1000};

class OverlayTar : public OverlayfsTest {
  protected:
    /// Unpacks into `import_`.
    Result<TarReport> unpack(std::string bytes, const TreeLimits& limits = kLimits) {
        import_.emplace(begin_layer(*store_).value());
        return import_tar(pull_bytes(std::move(bytes)), *import_, limits);
    }
    Result<TarReport> unpack(TarBuilder& tar, const TreeLimits& limits = kLimits) {
        return unpack(tar.bytes(), limits);
    }
    /// It fails so, and nothing of it is anywhere but in trash.
    void expect_refused(TarBuilder& tar, ErrorKind kind, const TreeLimits& limits = kLimits) {
        const auto report = unpack(tar, limits);
        ASSERT_FALSE(report.ok());
        EXPECT_EQ(report.error().kind, kind) << report.error().message;
        expect_nothing_left();
    }
    void expect_nothing_left() {
        EXPECT_EQ(import_->root(), -1);
        EXPECT_EQ(count(store_->tmp()), 0U);
        EXPECT_EQ(count(store_->layers()), 0U);
    }
    [[nodiscard]] int root() const { return import_->root(); }
    std::string xattr(const std::string& name, const char* key) {
        const UniqueFd file = open_at(root(), name, O_RDONLY).value();
        char value[256];
        const ssize_t n = fgetxattr(file.get(), key, value, sizeof(value));
        return n < 0 ? std::strerror(errno) : std::string(value, static_cast<size_t>(n));
    }
    void TearDown() override {
        import_.reset();
        OverlayfsTest::TearDown();
    }

    std::optional<Import> import_;
};

TEST_F(OverlayTar, UnpacksOwnersModesTimesAndLinks) {
    const auto set = [](archive_entry* e) {
        archive_entry_set_uid(e, 1000);
        archive_entry_set_gid(e, 50);
        archive_entry_set_perm(e, 06755);
        archive_entry_set_mtime(e, 1234567890, 987654321);
    };
    TarBuilder tar;
    tar.directory("./", set).directory("./d/", set).file("./d/program", "bytes", set).symlink("d/link", "/etc/passwd");
    tar.hard_link("again", "./d/program").file("implied/deeper/file", "");
    const auto report = unpack(tar);
    ASSERT_TRUE(report.ok()) << report.error().message;
    EXPECT_EQ(report.value().entries, 7U) << "the root not counted, implied directories counted";
    EXPECT_EQ(report.value().bytes, 5U);
    for (const char* name : {"d", "d/program"}) {
        const struct stat status = status_of(root(), name);
        EXPECT_EQ(status.st_uid, 1000U) << name;
        EXPECT_EQ(status.st_gid, 50U) << name;
        EXPECT_EQ(status.st_mode & 07777, 06755U) << name;
        EXPECT_EQ(status.st_mtim.tv_sec, 1234567890) << name;
        EXPECT_EQ(status.st_mtim.tv_nsec, 987654321) << name;
    }
    EXPECT_EQ(content(root(), "d/program"), "bytes");
    EXPECT_EQ(status_of(root(), "again").st_ino, status_of(root(), "d/program").st_ino);
    char target[64] = {};
    ASSERT_GT(readlinkat(root(), "d/link", target, sizeof(target) - 1), 0);
    EXPECT_STREQ(target, "/etc/passwd");
    const struct stat top = status_of(root(), ".");
    EXPECT_EQ(top.st_mode & 07777, 0755U) << "the root's own attributes stay";
    EXPECT_EQ(top.st_uid, 0U);
    EXPECT_EQ(status_of(root(), "implied/deeper").st_mode & 07777, 0755U);
}

TEST_F(OverlayTar, UnpacksEveryPacking) {
    const std::string data(300'000, 'z');
    for (const int filter : {ARCHIVE_FILTER_NONE, ARCHIVE_FILTER_GZIP, ARCHIVE_FILTER_XZ, ARCHIVE_FILTER_ZSTD}) {
        TarBuilder tar(filter);
        tar.file("file", data);
        const auto report = unpack(tar);
        ASSERT_TRUE(report.ok()) << report.error().message;
        EXPECT_EQ(content(root(), "file"), data) << filter;
    }
}

TEST_F(OverlayTar, KeepsNamesByteForByte) {
    ASSERT_NE(setlocale(LC_ALL, "C.UTF-8"), nullptr);  // in which libarchive would compose what is decomposed
    const Undo plain([] { setlocale(LC_ALL, "C"); });
    const std::vector<std::string> names = {"caf\u00e9", "cafe\u0301", "\xff\xfe", "\u65e5\u672c",
                                            std::string(200, 'n')};
    TarBuilder tar;
    for (const std::string& name : names) tar.file(name, name);
    ASSERT_TRUE(unpack(tar).ok());
    for (const std::string& name : names) EXPECT_EQ(content(root(), name), name);
    EXPECT_EQ(count(root()), names.size());
}

TEST_F(OverlayTar, KeepsTheXattrsABoxKnows) {
    const std::string capability("\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20);  // cap_net_raw=ep
    TarBuilder tar;
    tar.file("ping", "x", [&](archive_entry* e) {
        archive_entry_xattr_add_entry(e, "security.capability", capability.data(), capability.size());
        archive_entry_xattr_add_entry(e, "user.note", "hello", 5);
        archive_entry_xattr_add_entry(e, "security.selinux", "label", 5);
        archive_entry_xattr_add_entry(e, "trusted.other", "x", 1);
    });
    const auto report = unpack(tar);
    ASSERT_TRUE(report.ok()) << report.error().message;
    EXPECT_EQ(report.value().dropped_xattrs, 4U) << "the writer puts each down in two spellings";
    EXPECT_EQ(xattr("ping", "security.capability"), capability);
    EXPECT_EQ(xattr("ping", "user.note"), "hello");
    EXPECT_EQ(xattr("ping", "trusted.other"), std::strerror(ENODATA));
}

TEST_F(OverlayTar, RefusesOverlayfsXattrs) {
    for (const char* name : {"trusted.overlay.redirect", "trusted.overlay.opaque", "user.overlay.whiteout"}) {
        TarBuilder tar;
        tar.directory("d", [&](archive_entry* e) { archive_entry_xattr_add_entry(e, name, "y", 1); });
        expect_refused(tar, ErrorKind::kInvalid);
    }
}

TEST_F(OverlayTar, RefusesToGoUp) {
    for (const char* name : {"../canary", "a/../../../../canary", "/../../canary", ".."}) {
        TarBuilder tar;
        tar.file(name, "dead");
        expect_refused(tar, ErrorKind::kInvalid);
    }
}

TEST_F(OverlayTar, AbsoluteNamesStayInside) {
    TarBuilder tar;
    tar.file(path_ + "/canary", "inside");
    ASSERT_TRUE(unpack(tar).ok());
    EXPECT_EQ(content(root(), path_.substr(1) + "/canary"), "inside");
}

TEST_F(OverlayTar, RefusesPathsThroughLinks) {
    for (const std::string& target : {path_, std::string("../../../.."), std::string("inside")}) {
        TarBuilder file;
        file.directory("inside").symlink("out", target).file("out/canary", "dead");
        expect_refused(file, ErrorKind::kInvalid);
        TarBuilder directory;
        directory.directory("inside").symlink("out", target).directory("out/new/er");
        expect_refused(directory, ErrorKind::kInvalid);
        TarBuilder link;
        link.directory("inside").symlink("out", target).symlink("out/canary", "x");
        expect_refused(link, ErrorKind::kInvalid);
    }
    EXPECT_EQ(access((path_ + "/new").c_str(), F_OK), -1);
}

TEST_F(OverlayTar, AFileTakesTheLinksPlaceNotItsTargets) {
    TarBuilder tar;
    tar.symlink("link", path_ + "/canary").file("link", "new");
    tar.symlink("other", path_).directory("other").file("other/canary", "new");
    ASSERT_TRUE(unpack(tar).ok());
    EXPECT_EQ(content(root(), "link"), "new");
    EXPECT_EQ(content(root(), "other/canary"), "new");
}

TEST_F(OverlayTar, ALaterFileDoesNotWriteThroughAHardLink) {
    TarBuilder tar;
    tar.file("a", "first").hard_link("b", "a").file("a", "second");
    ASSERT_TRUE(unpack(tar).ok());
    EXPECT_EQ(content(root(), "a"), "second");
    EXPECT_EQ(content(root(), "b"), "first");
}

TEST_F(OverlayTar, RefusesHardLinksOut) {
    TarBuilder up;
    up.hard_link("link", "../../../../canary");
    expect_refused(up, ErrorKind::kInvalid);
    TarBuilder absolute;
    absolute.hard_link("link", path_ + "/canary");
    expect_refused(absolute, ErrorKind::kInvalid);
    TarBuilder through;
    through.symlink("out", path_).hard_link("link", "out/canary");
    expect_refused(through, ErrorKind::kInvalid);
}

TEST_F(OverlayTar, AHardLinkToALinkIsTheLinkItself) {
    TarBuilder tar;
    tar.symlink("out", path_ + "/canary").hard_link("link", "out");
    ASSERT_TRUE(unpack(tar).ok());
    EXPECT_TRUE(S_ISLNK(status_of(root(), "link").st_mode));
}

TEST_F(OverlayTar, AFileDoesNotReplaceADirectory) {
    TarBuilder tar;
    tar.file("d/inside", "x").file("d", "x");
    expect_refused(tar, ErrorKind::kInvalid);
}

TEST_F(OverlayTar, RefusesWhiteouts) {
    TarBuilder tar;
    tar.file("etc/.wh.passwd", "");
    expect_refused(tar, ErrorKind::kInvalid);
}

TEST_F(OverlayTar, RefusesOwnersBeyondABoxsIds) {
    for (const int64_t uid : {int64_t{65536}, int64_t{600'000'000}}) {
        TarBuilder tar;
        tar.file("file", "x", [&](archive_entry* e) { archive_entry_set_uid(e, uid); });
        expect_refused(tar, ErrorKind::kInvalid);
    }
}

TEST_F(OverlayTar, SkipsDeviceNodesAndPipes) {
    TarBuilder tar;
    tar.add("dev/null", AE_IFCHR, "", [](archive_entry* e) { archive_entry_set_rdev(e, 0x103); });
    tar.add("dev/sda", AE_IFBLK, "").add("pipe", AE_IFIFO, "").file("file", "x");
    const auto report = unpack(tar);
    ASSERT_TRUE(report.ok()) << report.error().message;
    EXPECT_EQ(report.value().skipped_nodes, 3U);
    EXPECT_EQ(names_in(root()).value(), std::vector<std::string>{"file"});
}

TEST_F(OverlayTar, StopsAtTheLimitOfBytes) {
    TarBuilder tar(ARCHIVE_FILTER_GZIP);
    tar.file("a", std::string(600'000, '\0')).file("b", std::string(600'000, '\0'));
    expect_refused(tar, ErrorKind::kTooLarge, {1'000'000, 10});
    EXPECT_TRUE(unpack(tar, {1'200'000, 10}).ok());
}

TEST_F(OverlayTar, CountsHolesAsBytes) {
    TarBuilder tar;
    tar.file("hole", std::string(4096, 'x'), [](archive_entry* e) {
        archive_entry_set_size(e, int64_t{1} << 40);
        archive_entry_sparse_add_entry(e, 0, 4096);
    });
    expect_refused(tar, ErrorKind::kTooLarge);
}

TEST_F(OverlayTar, KeepsHolesAsHoles) {
    TarBuilder tar;
    tar.file("hole", std::string(4096, 'x'), [](archive_entry* e) {
        archive_entry_set_size(e, int64_t{32} << 20);
        archive_entry_sparse_add_entry(e, 0, 4096);
    });
    ASSERT_TRUE(unpack(tar).ok());
    EXPECT_EQ(status_of(root(), "hole").st_size, 32 << 20);
    EXPECT_LT(status_of(root(), "hole").st_blocks, 1024);
}

TEST_F(OverlayTar, StopsAtTheLimitOfEntries) {
    TarBuilder files;
    for (int i = 0; i < 11; ++i) files.file("f" + std::to_string(i), "");
    expect_refused(files, ErrorKind::kTooLarge, {1000, 10});
    TarBuilder implied;
    implied.file("a/b/c/d/e/f/g/h/i/j/k", "");
    expect_refused(implied, ErrorKind::kTooLarge, {1000, 10});
    TarBuilder nodes;
    for (int i = 0; i < 11; ++i) nodes.add("p" + std::to_string(i), AE_IFIFO, "");
    expect_refused(nodes, ErrorKind::kTooLarge, {1000, 10});
}

TEST_F(OverlayTar, RefusesWhatIsNoArchiveOrIsCut) {
    TarBuilder tar(ARCHIVE_FILTER_GZIP);
    std::string noise(200'000, '\0');
    for (size_t i = 0; i < noise.size(); ++i) noise[i] = static_cast<char>((i * 2654435761U) >> 13);
    tar.file("file", noise);
    const std::string whole = tar.bytes();
    for (const std::string& bytes : {std::string(), std::string("not an archive"), std::string(4096, 'x'),
                                     whole.substr(0, whole.size() / 2), whole.substr(0, 20)}) {
        const auto report = unpack(bytes);
        ASSERT_FALSE(report.ok()) << bytes.size() << " of " << whole.size();
        EXPECT_EQ(report.error().kind, ErrorKind::kInvalid) << report.error().message;
        expect_nothing_left();
    }
}

TEST_F(OverlayTar, AFailingInputIsTheErrorSeen) {
    import_.emplace(begin_layer(*store_).value());
    const Pull pull = [](char*, size_t) -> Result<size_t> { return errno_error("receiving", ECONNRESET); };
    const auto report = import_tar(pull, *import_, kLimits);
    ASSERT_FALSE(report.ok());
    EXPECT_EQ(report.error().code, ECONNRESET);
    expect_nothing_left();
}

TEST_F(OverlayTar, ReadsFromADescriptor) {
    TarBuilder tar(ARCHIVE_FILTER_ZSTD);
    tar.file("file", "x");
    put(AT_FDCWD, path_ + "/tar", tar.bytes());
    const UniqueFd input = open_at(AT_FDCWD, path_ + "/tar", O_RDONLY).value();
    import_.emplace(begin_layer(*store_).value());
    ASSERT_TRUE(import_tar(pull_from(input.get()), *import_, kLimits).ok());
    EXPECT_EQ(content(root(), "file"), "x");
}

TEST_F(OverlayTar, AKilledImportLeavesNoLayer) {
    TarBuilder tar;
    tar.file("file", std::string(1 << 20, 'x')).file("more", std::string(1 << 20, 'x'));
    const pid_t child = fork();
    if (child == 0) {
        auto bytes = pull_bytes(tar.bytes());
        int calls = 0;
        const Pull dying = [&](char* buffer, size_t size) {
            if (++calls == 4) raise(SIGKILL);
            return bytes(buffer, size);
        };
        Import import = begin_layer(*store_).value();
        if (import_tar(dying, import, kLimits).ok()) (void)seal_layer(*store_, std::move(import)).ok();
        _exit(1);
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status));
    EXPECT_EQ(count(store_->layers()), 0U);
    store_.emplace(Store::open(path_ + "/store").value());
    EXPECT_EQ(recover(*store_, {}, {}).value().unfinished.size(), 1U);
    EXPECT_EQ(count(store_->tmp()), 0U);
}

/// A store on a filesystem of 2 MiB and 64 files.
class OverlayFull : public OverlayTar {
  protected:
    void SetUp() override {
        OverlayTar::SetUp();
        if (IsSkipped() || HasFatalFailure()) return;
        store_.reset();
        ASSERT_EQ(sys_mount("none", (path_ + "/store").c_str(), "tmpfs", 0, "size=2m,nr_inodes=64"), 0);
        store_.emplace(Store::open(path_ + "/store").value());
    }
    void TearDown() override {
        import_.reset();
        store_.reset();
        if (!path_.empty()) {
            EXPECT_EQ(sys_umount2((path_ + "/store").c_str(), 0), 0) << "something still holds the store";
        }
        OverlayTar::TearDown();
    }
};

TEST_F(OverlayFull, OutOfBlocksIsSaidAndLeavesNothing) {
    TarBuilder tar;
    tar.file("file", std::string(4 << 20, 'x'));
    const auto report = unpack(tar);
    ASSERT_FALSE(report.ok());
    EXPECT_TRUE(report.error().out_of_space()) << report.error().message;
    expect_nothing_left();
}

TEST_F(OverlayFull, OutOfInodesIsSaidAndLeavesNothing) {
    TarBuilder tar;
    for (int i = 0; i < 100; ++i) tar.file("f" + std::to_string(i), "");
    const auto report = unpack(tar);
    ASSERT_FALSE(report.ok());
    EXPECT_TRUE(report.error().out_of_space()) << report.error().message;
    expect_nothing_left();
    EXPECT_TRUE(begin_layer(*store_).error().out_of_space()) << "also at the very beginning";
    EXPECT_EQ(count(store_->tmp()), 0U);
}

TEST_F(OverlayFull, DiscardingNeedsNoSpace) {
    const std::string id = layer("file", "x");
    const auto filler = open_at(store_->tmp(), "filler", O_WRONLY | O_CREAT, 0600);
    ASSERT_TRUE(filler.ok());
    EXPECT_TRUE(write_all(filler.value().get(), std::string(4 << 20, 'x')).error().out_of_space());
    EXPECT_TRUE(discard_layer(*store_, id).ok());
    EXPECT_EQ(count(store_->layers()), 0U);
}

}  // namespace
}  // namespace hutch::overlayfs
