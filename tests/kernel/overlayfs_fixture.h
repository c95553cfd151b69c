#pragma once

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>
#include <iterator>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/file.h"
#include "overlayfs/diff.h"
#include "overlayfs/layer.h"
#include "overlayfs/store.h"
#include "overlayfs/tree.h"
#include "tests/kernel/user_namespace.h"

namespace hutch::overlayfs {

constexpr uid_t kBase = 600'000'000;  // of no real user
constexpr size_t kMiB = size_t{1} << 20;

/// A store of the test's own in a mount namespace of its own, and a canary beside it that nobody may change.
/// Opened and compared in one go.
inline Result<void> compare_stacks(const Store& store, const Stack& now, const std::vector<std::string>& before,
                                   const std::stop_token& stop, const ChangeSink& sink) {
    const OpenStacks stacks = TRY(open_stacks(store, now, before));
    return diff(stacks, stop, sink);
}

class OverlayfsTest : public ::testing::Test {
  protected:
    void SetUp() override {
        if (geteuid() != 0) GTEST_SKIP() << "needs root";
        ASSERT_EQ(unshare(CLONE_NEWNS), 0);
        ASSERT_EQ(sys_mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
        char name[] = "/var/tmp/hutch-test-XXXXXX";
        path_ = mkdtemp(name);
        std::ofstream(path_ + "/canary") << "alive";
        store_.emplace(Store::open(path_ + "/store").value());
    }
    void TearDown() override {
        if (path_.empty()) return;
        EXPECT_EQ(content(AT_FDCWD, path_ + "/canary"), "alive");
        struct stat status {};
        EXPECT_EQ(stat((path_ + "/canary").c_str(), &status), 0);
        EXPECT_EQ(status.st_nlink, 1U) << "the canary got a name in the store";
        store_.reset();
        EXPECT_TRUE(remove_tree_at(AT_FDCWD, path_).ok());
    }

    static std::string content(int dir, const std::string& name) {
        auto read = read_file_at(dir, name);
        return read.ok() ? std::move(read).value() : "(" + read.error().message + ")";
    }
    static void put(int dir, const std::string& name, std::string_view text, mode_t mode = 0644) {
        const auto file = open_at(dir, name, O_WRONLY | O_CREAT | O_TRUNC, mode);
        ASSERT_TRUE(file.ok() && write_all(file.value().get(), text).ok()) << name;
        ASSERT_EQ(fchmod(file.value().get(), mode), 0);
    }
    /// For layers written by hand: a directory, with those above it, and what hides a name below.
    static UniqueFd directory(int dir, const std::string& path) { return make_dirs_beneath(dir, path).value(); }
    static void whiteout(const UniqueFd& dir, const std::string& name) {
        ASSERT_EQ(mknodat(dir.get(), name.c_str(), S_IFCHR, 0), 0);
    }
    /// A sealed layer of one file.
    std::string layer(const std::string& name, std::string_view text) {
        Import import = begin_layer(*store_).value();
        put(import.root(), name, text);
        return seal_layer(*store_, std::move(import)).value();
    }
    static struct stat status_of(int dir, const std::string& name) {
        struct stat status {};
        EXPECT_EQ(fstatat(dir, name.c_str(), &status, AT_SYMLINK_NOFOLLOW), 0) << name;
        return status;
    }
    static size_t count(int dir) { return names_in(dir).value().size(); }
    static std::string mounts() {
        std::ifstream file("/proc/self/mountinfo");
        return {std::istreambuf_iterator<char>(file), {}};
    }

    std::string path_;
    std::optional<Store> store_;
};

}  // namespace hutch::overlayfs
