#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <random>

#include "overlayfs/diff.h"
#include "overlayfs/flatten.h"
#include "overlayfs/mount.h"
#include "overlayfs/upper.h"
#include "tests/kernel/overlayfs_fixture.h"
#include "tests/kernel/random_history.h"
#include "tests/kernel/tree_manifest.h"

namespace hutch::overlayfs {
namespace {

using test::compare;
using test::Manifest;
using test::manifest_of;
using Layers = std::vector<std::string>;

uint64_t number_in(const char* variable, uint64_t otherwise) {
    const char* text = std::getenv(variable);
    return text != nullptr ? std::strtoull(text, nullptr, 10) : otherwise;
}

std::string line(char kind, const std::string& path, mode_t type, uint64_t size) {
    return std::string(1, kind) + " /" + path + " " + std::to_string(type) + " " + std::to_string(size);
}

/// What diff() should say, from all that is in both trees.
std::vector<std::string> expected_diff(const Manifest& before, const Manifest& now) {
    std::vector<std::pair<std::string, std::string>> lines;  // by path, where '/' comes before all else
    const auto add = [&](char kind, const std::string& path, const test::ManifestEntry& entry) {
        std::string key = path;
        std::replace(key.begin(), key.end(), '/', '\0');
        lines.emplace_back(key, line(kind, path, entry.type, static_cast<uint64_t>(entry.size)));
    };
    for (const auto& [path, entry] : now) {
        const auto old = before.find(path);
        if (old == before.end()) {
            add('A', path, entry);
        } else if (old->second.type != entry.type || old->second.content != entry.content) {
            add('M', path, entry);
        } else if (old->second.metadata != entry.metadata) {
            add('m', path, entry);
        }
    }
    for (const auto& [path, entry] : before) {
        if (now.contains(path)) continue;
        const size_t slash = path.rfind('/');
        const auto parent = now.find(slash == std::string::npos ? "" : path.substr(0, slash));
        if (parent != now.end() && S_ISDIR(parent->second.type)) add('D', path, entry);
    }
    std::sort(lines.begin(), lines.end());
    std::vector<std::string> texts;
    for (auto& [key, text] : lines) texts.push_back(std::move(text));
    return texts;
}

/// A box that lives through random steps, and through all that may happen to its layers.
class OverlayProperty : public OverlayfsTest {
  protected:
    void SetUp() override {
        OverlayfsTest::SetUp();
        if (IsSkipped() || HasFatalFailure()) return;
        use_memory();
        users_ = test::make_user_namespace(kBase).value();
        layers_ = {seal_layer(*store_, begin_layer(*store_).value()).value()};
        earlier_ = layers_;
        then_ = shown_by(earlier_);
        begin("box0");
    }
    void TearDown() override {
        mount_.reset();
        store_.reset();
        for (const std::string& at : {path_ + "/memory/disk", path_ + "/memory"})
            (void)sys_umount2(at.c_str(), MNT_DETACH);
        OverlayfsTest::TearDown();
    }

    /// Sealing and unmounting sync the whole filesystem, again and again: so one of the test's own, ext4 in memory.
    /// Where there are no loop devices it stays on the disk.
    void use_memory() {
        const std::string memory = path_ + "/memory";
        const std::string disk = memory + "/disk";
        ASSERT_EQ(mkdir(memory.c_str(), 0700), 0);
        ASSERT_EQ(sys_mount("none", memory.c_str(), "tmpfs", 0, "size=2g"), 0);
        ASSERT_EQ(mkdir(disk.c_str(), 0700), 0);
        const std::string make =
            "mkfs.ext4 -q -O ^has_journal " + memory + "/image 1g && mount -o loop " + memory + "/image " + disk;
        if (std::system(make.c_str()) == 0) store_.emplace(Store::open(disk + "/store").value());
    }

    uint64_t below(uint64_t bound) { return random_() % bound; }
    std::string next_id(const char* what) { return what + std::to_string(++ids_); }

    void begin(const std::string& box) {
        ASSERT_TRUE(make_upper(*store_, box, layers_).ok());
        box_ = box;
        mount_ = mounted(layers_, box);
    }
    UniqueFd mounted(const Layers& layers, const std::string& box) {
        auto mount = mount_box(*store_, layers, box, users_.get(), kBase);
        EXPECT_TRUE(mount.ok()) << mount.error().message;
        return mount.ok() ? std::move(mount).value() : UniqueFd();
    }
    /// What a new box on these layers shows.
    Manifest shown_by(const Layers& layers) {
        const std::string box = next_id("look");
        EXPECT_TRUE(make_upper(*store_, box, layers).ok());
        Manifest manifest = manifest_of(mounted(layers, box).get());
        EXPECT_TRUE(discard_upper(*store_, box).ok());
        return manifest;
    }
    void live(int steps) {
        const uint64_t seed = random_();
        const int status = test::run_in_user_namespace(users_.get(), 0, [&] {
            test::RandomHistory(mount_.get(), seed).take(steps);
            return 0;
        });
        ASSERT_EQ(status, 0);
    }

    void seal() {
        const Manifest before = manifest_of(mount_.get());
        mount_.reset();
        const std::string layer = next_id("sealed");
        ASSERT_TRUE(seal_upper(*store_, box_, layer).ok());
        layers_.insert(layers_.begin(), layer);
        begin(box_);
        ASSERT_EQ(compare(before, manifest_of(mount_.get())), "") << "sealed";
    }
    void fork() {
        const Manifest before = manifest_of(mount_.get());
        auto copy = copy_upper(*store_, box_, {});
        ASSERT_TRUE(copy.ok()) << copy.error().message;
        Layers layers = layers_;
        layers.insert(layers.begin(), seal_layer(*store_, std::move(copy).value()).value());
        ASSERT_EQ(compare(before, shown_by(layers)), "") << "copied";
        ASSERT_EQ(compare(before, manifest_of(mount_.get())), "") << "the original";
        if (below(2) == 0) return;
        mount_.reset();
        ASSERT_TRUE(discard_upper(*store_, box_).ok());
        layers_ = layers;
        begin(next_id("box"));
    }
    /// Some layers in the middle of the stack become one.
    void flatten_some() {
        const auto first = static_cast<ptrdiff_t>(below(layers_.size()));
        const auto last = first + 1 + static_cast<ptrdiff_t>(below(layers_.size() - static_cast<size_t>(first)));
        const Layers range(layers_.begin() + first, layers_.begin() + last);
        auto flat = flatten(*store_, range, {layers_.begin() + last, layers_.end()}, {});
        ASSERT_TRUE(flat.ok()) << flat.error().message;
        Layers layers(layers_.begin(), layers_.begin() + first);
        layers.push_back(seal_layer(*store_, std::move(flat).value()).value());
        layers.insert(layers.end(), layers_.begin() + last, layers_.end());
        ASSERT_EQ(compare(shown_by(layers_), shown_by(layers)), "") << "flattened";
        const Manifest before = manifest_of(mount_.get());
        mount_.reset();
        layers_ = layers;
        mount_ = mounted(layers_, box_);
        ASSERT_EQ(compare(before, manifest_of(mount_.get())), "") << "flattened under its upper";
    }
    void compare_some() {
        const auto count = static_cast<ptrdiff_t>(below(layers_.size()));
        // Of its own stack, or of one that it stood on once and that has been made anew under it since.
        const Layers base = below(2) == 0 ? earlier_ : Layers(layers_.begin() + count, layers_.end());
        std::vector<std::string> told;
        const ChangeSink sink = [&](const Change& change) -> Result<void> {
            told.push_back(line("AMmD"[static_cast<int>(change.kind)], change.path, change.type, change.size));
            return {};
        };
        const auto done = compare_stacks(*store_, {box_, layers_}, base, {}, sink);
        ASSERT_TRUE(done.ok()) << done.error().message;
        const auto expected = expected_diff(shown_by(base), manifest_of(mount_.get()));
        const auto [found, wanted] = std::mismatch(told.begin(), told.end(), expected.begin(), expected.end());
        ASSERT_EQ(found != told.end() ? *found : "the end", wanted != expected.end() ? *wanted : "the end");
        if (below(3) != 0) return;
        earlier_ = layers_;
        then_ = shown_by(earlier_);
    }
    void roll_back() {
        mount_.reset();
        ASSERT_TRUE(discard_upper(*store_, box_).ok());
        layers_ = earlier_;
        begin(box_);
        ASSERT_EQ(compare(then_, manifest_of(mount_.get())), "") << "rolled back";
    }
    void clean() {
        const auto layers = names_in(store_->layers()).value();
        for (const std::string& layer : layers) {
            const auto is_in = [&layer](const Layers& stack) {
                return std::find(stack.begin(), stack.end(), layer) != stack.end();
            };
            if (is_in(layers_) || is_in(earlier_)) continue;
            ASSERT_TRUE(discard_layer(*store_, layer).ok());
        }
        const auto trash = names_in(store_->trash()).value();
        for (const std::string& name : trash) {
            ASSERT_TRUE(remove_tree_at(store_->trash(), name).ok());
        }
        ASSERT_EQ(count(store_->tmp()), 0U);
    }

    UniqueFd users_, mount_;
    std::string box_;
    Layers layers_;   // below the box's upper
    Layers earlier_;  // at some time before
    Manifest then_;   // and what they showed
    std::mt19937_64 random_;
    uint64_t ids_ = 0;
};

#ifdef __SANITIZE_ADDRESS__
constexpr uint64_t kSteps = 3'000;  // each takes three times as long
#else
constexpr uint64_t kSteps = 10'000;
#endif

TEST_F(OverlayProperty, WhateverHappensToItsLayersABoxSeesTheSame) {
    const uint64_t seed = number_in("HUTCH_PROPERTY_SEED", std::random_device()());
    const uint64_t steps = number_in("HUTCH_PROPERTY_STEPS", kSteps);
    random_.seed(seed);
    for (uint64_t taken = 0; taken < steps && !HasFatalFailure();) {
        SCOPED_TRACE("HUTCH_PROPERTY_SEED=" + std::to_string(seed) + ", after step " + std::to_string(taken));
        const int some = static_cast<int>(1 + below(100));
        taken += static_cast<uint64_t>(some);
        live(some);
        if (!HasFatalFailure()) compare_some();
        if (HasFatalFailure()) break;
        switch (layers_.size() > 5 ? 2 : below(4)) {
            case 0:
                seal();
                break;
            case 1:
                fork();
                break;
            case 3:
                roll_back();
                break;
            default:
                flatten_some();
        }
        if (!HasFatalFailure()) clean();
    }
}

}  // namespace
}  // namespace hutch::overlayfs
