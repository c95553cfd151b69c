#include <gtest/gtest.h>
#include <sys/xattr.h>

#include <atomic>
#include <thread>

#include "overlayfs/diff.h"
#include "overlayfs/marks.h"
#include "overlayfs/upper.h"
#include "tests/kernel/overlayfs_fixture.h"

namespace hutch::overlayfs {
namespace {

using Lines = std::vector<std::string>;

/// Two layers and an upper, written by hand: "base" below "middle" below the upper of b1.
class OverlayDiff : public OverlayfsTest {
  protected:
    void SetUp() override {
        OverlayfsTest::SetUp();
        if (IsSkipped() || HasFatalFailure()) return;
        base_ = directory(store_->layers(), "base/fs");
        middle_ = directory(store_->layers(), "middle/fs");
        upper_ = directory(store_->uppers(), "b1/fs");
    }
    /// "kind path", as a user would want to read it.
    static std::string text(const Change& change) {
        return "AMmD"[static_cast<int>(change.kind)] + (" " + change.path);
    }
    Lines lines(const Stack& now, const std::vector<std::string>& base) {
        Lines told;
        const auto done = compare_stacks(*store_, now, base, {}, [&](const Change& change) -> Result<void> {
            told.push_back(text(change));
            return {};
        });
        EXPECT_TRUE(done.ok()) << done.error().message;
        return told;
    }
    Lines lines() { return lines({"b1", {"middle", "base"}}, {"base"}); }

    UniqueFd base_, middle_, upper_;
};

TEST_F(OverlayDiff, NothingIsNoChange) {
    put(base_.get(), "file", "x");
    EXPECT_EQ(lines(), Lines());
}

TEST_F(OverlayDiff, ToldWithTypeAndSizeInOrderOfThePaths) {
    directory(upper_.get(), "d/sub");
    put(upper_.get(), "d/sub/file", "12345");
    put(upper_.get(), "d-", "");
    ASSERT_EQ(symlinkat("target", upper_.get(), "d/link"), 0);
    ASSERT_EQ(mkfifoat(upper_.get(), "\xff\n", 0600), 0);
    std::vector<Change> told;
    ASSERT_TRUE(compare_stacks(*store_, {"b1", {"base"}}, {"base"}, {}, [&](const Change& change) -> Result<void> {
                    told.push_back(change);
                    return {};
                }).ok());
    ASSERT_EQ(told.size(), 6U);
    const std::vector<std::tuple<std::string, mode_t, uint64_t>> expected = {
        {"d", S_IFDIR, 0},          {"d/link", S_IFLNK, 6}, {"d/sub", S_IFDIR, 0},
        {"d/sub/file", S_IFREG, 5}, {"d-", S_IFREG, 0},     {"\xff\n", S_IFIFO, 0},
    };
    for (size_t i = 0; i < told.size(); ++i) {
        EXPECT_EQ(told[i].kind, Change::Kind::kAdded);
        EXPECT_EQ(std::tuple(told[i].path, told[i].type, told[i].size), expected[i]);
    }
}

TEST_F(OverlayDiff, ContentTargetAndTypeAreModified) {
    for (const char* name : {"longer", "same-length", "to-directory", "to-link"}) put(base_.get(), name, "12345");
    put(upper_.get(), "longer", "123456");
    put(upper_.get(), "same-length", "1234x");
    directory(upper_.get(), "to-directory/new");
    ASSERT_EQ(symlinkat("12345", upper_.get(), "to-link"), 0);
    ASSERT_EQ(symlinkat("one", base_.get(), "link"), 0);
    ASSERT_EQ(symlinkat("two", upper_.get(), "link"), 0);
    directory(base_.get(), "from-directory/gone");
    put(upper_.get(), "from-directory", "");
    EXPECT_EQ(lines(), (Lines{"M from-directory", "M link", "M longer", "M same-length", "M to-directory",
                              "A to-directory/new", "M to-link"}));
}

TEST_F(OverlayDiff, AttributesAreMetadataAndTimesAreNothing) {
    for (const char* name : {"mode", "owner", "xattr", "times"}) {
        put(base_.get(), name, "same");
        put(upper_.get(), name, "same");
    }
    directory(base_.get(), "dir");
    directory(upper_.get(), "dir");
    ASSERT_EQ(fchmodat(upper_.get(), "mode", 04644, 0), 0);
    ASSERT_EQ(fchownat(upper_.get(), "owner", 0, 7, 0), 0);
    ASSERT_EQ(fchmodat(upper_.get(), "dir", 0700, 0), 0);
    ASSERT_EQ(fchmod(upper_.get(), 0711), 0);
    const std::string at = path_ + "/store/uppers/b1/fs/";
    ASSERT_EQ(setxattr((at + "xattr").c_str(), "user.note", "x", 1, 0), 0);
    ASSERT_EQ(setxattr((at + "times").c_str(), "trusted.overlay.origin", "x", 1, 0), 0);
    const timespec times[2] = {{1, 0}, {1, 0}};
    ASSERT_EQ(utimensat(upper_.get(), "times", times, 0), 0);
    EXPECT_EQ(lines(), (Lines{"m ", "m dir", "m mode", "m owner", "m xattr"}));
}

TEST_F(OverlayDiff, ADeletedDirectoryIsOneChange) {
    directory(base_.get(), "dir/within");
    put(base_.get(), "file", "x");
    for (const char* name : {"dir", "file", "never-there"}) whiteout(upper_, name);
    EXPECT_EQ(lines(), (Lines{"D dir", "D file"}));
}

TEST_F(OverlayDiff, OfADirectoryMadeAnewOnlyWhatIsMissingIsDeleted) {
    directory(base_.get(), "dir/kept");
    directory(base_.get(), "dir/lost/within");
    put(base_.get(), "dir/file", "x");
    directory(upper_.get(), "dir/kept");
    put(upper_.get(), "dir/new", "x");
    EXPECT_EQ(lines(), Lines{"A dir/new"}) << "as long as it is not opaque";
    ASSERT_TRUE(set_opaque(open_at(upper_.get(), "dir", O_RDONLY).value().get()).ok());
    EXPECT_EQ(lines(), (Lines{"D dir/file", "D dir/lost", "A dir/new"}));
}

TEST_F(OverlayDiff, TheUpperHidesWhatTheMiddleDid) {
    put(base_.get(), "file", "x");
    put(middle_.get(), "file", "y");
    put(upper_.get(), "file", "x");
    whiteout(middle_, "back");
    put(base_.get(), "back", "x");
    put(upper_.get(), "back", "x");
    put(middle_.get(), "came-and-went", "x");
    whiteout(upper_, "came-and-went");
    put(middle_.get(), "new", "x");
    directory(base_.get(), "dir/old");
    whiteout(middle_, "dir");
    directory(upper_.get(), "dir");
    EXPECT_EQ(lines(), (Lines{"D dir/old", "A new"}));
    EXPECT_EQ(lines({"b1", {"middle", "base"}}, {"middle", "base"}),
              (Lines{"A back", "D came-and-went", "A dir", "M file"}));
    EXPECT_EQ(lines({std::nullopt, {"middle", "base"}}, {"base"}),
              (Lines{"D back", "A came-and-went", "D dir", "M file", "A new"}));
}

TEST_F(OverlayDiff, BlocksOnNothingAndFollowsNoLink) {
    for (const UniqueFd* dir : {&base_, &upper_}) {
        ASSERT_EQ(mkfifoat(dir->get(), "fifo", 0600), 0);
        ASSERT_EQ(symlinkat(path_.c_str(), dir->get(), "link"), 0);
        const UniqueFd sparse = open_at(dir->get(), "sparse", O_RDWR | O_CREAT, 0644).value();
        ASSERT_EQ(ftruncate(sparse.get(), off_t{1} << 40), 0);
    }
    directory(base_.get(), "store/uppers");
    ASSERT_EQ(symlinkat(path_.c_str(), upper_.get(), "store"), 0);
    EXPECT_EQ(lines(), Lines{"M store"});
}

TEST_F(OverlayDiff, AnyDepth) {
    constexpr size_t kDepth = 3000;
    for (const UniqueFd* dir : {&base_, &upper_}) {
        UniqueFd here = duplicate(dir->get()).value();
        for (size_t i = 0; i < kDepth; ++i) here = make_dirs_beneath(here.get(), "d").value();
        if (dir == &upper_) put(here.get(), "bottom", "x");
    }
    const Lines told = lines();
    ASSERT_EQ(told.size(), 1U);
    EXPECT_EQ(told[0].size(), 2 + 2 * kDepth + 6);
}

TEST_F(OverlayDiff, TheBoxMayWriteMeanwhile) {
    for (const char* name : {"a/b/c", "d"}) {
        directory(base_.get(), name);
        directory(upper_.get(), name);
    }
    std::atomic<bool> done = false;
    std::jthread writer([&] {
        while (!done) {
            put(upper_.get(), "a/b/c/file", "x");
            (void)renameat(upper_.get(), "a/b", upper_.get(), "d/b");
            (void)unlinkat(upper_.get(), "d/b/c/file", 0);
            (void)renameat(upper_.get(), "d/b", upper_.get(), "a/b");
            if (mkdirat(upper_.get(), "a/x", 0700) == 0) (void)unlinkat(upper_.get(), "a/x", AT_REMOVEDIR);
            (void)mkfifoat(upper_.get(), "a/x", 0600);
            (void)unlinkat(upper_.get(), "a/x", 0);
        }
    });
    for (int i = 0; i < 500; ++i) {
        for (const std::string& told : lines()) EXPECT_EQ(told.find("store"), std::string::npos) << told;
    }
    done = true;
}

TEST_F(OverlayDiff, StacksThatAreSiblings) {
    directory(base_.get(), "dir");
    put(base_.get(), "dir/kept", "x");
    put(base_.get(), "dir/back", "x");
    put(base_.get(), "file", "old");
    put(middle_.get(), "file", "new");
    put(middle_.get(), "theirs", "x");
    whiteout(make_dirs_beneath(middle_.get(), "dir").value(), "back");
    put(upper_.get(), "file", "new");
    put(upper_.get(), "mine", "x");
    EXPECT_EQ(lines({"b1", {"base"}}, {"middle", "base"}), (Lines{"A dir/back", "A mine", "D theirs"}));
}

TEST_F(OverlayDiff, StacksWithNothingInCommon) {
    put(base_.get(), "same", "x");
    put(base_.get(), "file", "old");
    put(middle_.get(), "same", "x");
    put(middle_.get(), "file", "longer");
    EXPECT_EQ(lines({std::nullopt, {"middle"}}, {"base"}), (Lines{"M file"}));
}

TEST_F(OverlayDiff, EndsWhenToldAndWithTheSinksError) {
    put(upper_.get(), "file", "x");
    std::stop_source source;
    source.request_stop();
    const auto refuse = [](const Change& change) -> Result<void> { return invalid("enough of " + change.path); };
    EXPECT_EQ(compare_stacks(*store_, {"b1", {"base"}}, {"base"}, source.get_token(), refuse).error().code, ECANCELED);
    EXPECT_EQ(compare_stacks(*store_, {"b1", {"base"}}, {"base"}, {}, refuse).error().kind, ErrorKind::kInvalid);
    EXPECT_EQ(compare_stacks(*store_, {"b1", {"base"}}, {}, {}, refuse).error().kind, ErrorKind::kInvalid);
    EXPECT_EQ(compare_stacks(*store_, {"b1", {"absent", "base"}}, {"base"}, {}, refuse).error().code, ENOENT);
}

}  // namespace
}  // namespace hutch::overlayfs
