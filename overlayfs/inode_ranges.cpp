#include "overlayfs/inode_ranges.h"

#include <endian.h>
#include <fcntl.h>
#include <linux/btrfs.h>
#include <linux/btrfs_tree.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <set>

#include "base/file.h"
#include "overlayfs/subvolume.h"

namespace hutch::overlayfs {

namespace {

constexpr char kTemplates[] = "templates";
constexpr size_t kNode = 16384;
constexpr uint64_t kFirstNumber = BTRFS_FIRST_FREE_OBJECTID + 1;  // of the first file in a subvolume

std::string template_of(uint64_t range) {
    return std::string(kTemplates) + "/" + std::to_string(range);
}

// A node of a tree, as on disk (struct btrfs_header and btrfs_item; in <linux/btrfs_tree.h> only since 6.2).
struct Header {
    uint8_t checksum[32];
    uint8_t fsid[16];
    __le64 bytenr;
    __le64 flags;
    uint8_t chunk_tree[16];
    __le64 generation;
    __le64 owner;
    __le32 items;
    uint8_t level;
} __attribute__((packed));
struct Item {
    btrfs_disk_key key;
    __le32 offset;  // of its data, behind the header
    __le32 size;
} __attribute__((packed));

uint32_t crc32c(const char* data, size_t size) {
    uint32_t crc = ~0U;
    for (size_t i = 0; i < size; ++i) {
        crc ^= static_cast<uint8_t>(data[i]);
        for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1U) ^ ((crc & 1U) != 0 ? 0x82f63b78U : 0U);
    }
    return ~crc;
}

/// Gives the only file in a leaf another number: in its own items, and in those of its directory that name it.
void renumber(std::array<char, kNode>& leaf, uint64_t number) {
    Header header{};
    std::memcpy(&header, leaf.data(), sizeof(header));
    const auto change = [&](size_t at) {
        btrfs_disk_key key{};
        std::memcpy(&key, leaf.data() + at, sizeof(key));
        if (le64toh(key.objectid) != kFirstNumber) return;
        key.objectid = htole64(number);
        std::memcpy(leaf.data() + at, &key, sizeof(key));
    };
    for (uint32_t i = 0; i < le32toh(header.items); ++i) {
        const size_t at = sizeof(header) + i * sizeof(Item);
        Item item{};
        std::memcpy(&item, leaf.data() + at, sizeof(item));
        change(at);
        const bool entry = item.key.type == BTRFS_DIR_ITEM_KEY || item.key.type == BTRFS_DIR_INDEX_KEY;
        if (entry) change(sizeof(header) + le32toh(item.offset));  // what it names comes first
    }
    const uint32_t checksum =
        htole32(crc32c(leaf.data() + sizeof(header.checksum), leaf.size() - sizeof(header.checksum)));
    std::memcpy(leaf.data(), &checksum, sizeof(checksum));
}

template <typename Struct>
Result<Struct> read_as(const TreeItem& item) {
    Struct value{};
    if (item.data.size() < sizeof(value)) return errno_error("reading an item of btrfs", EPROTO);
    std::memcpy(&value, item.data.data(), sizeof(value));
    return value;
}

/// Where on the disk the only node of a subvolume lies.
Result<uint64_t> place_of(int dir, int subvolume) {
    const Error unknown = errno_error("finding a subvolume on the disk", EPROTO);
    const uint64_t id = TRY(subvolume_id(subvolume));
    const auto root = TRY(last_item(dir, BTRFS_ROOT_TREE_OBJECTID, id, BTRFS_ROOT_ITEM_KEY, 0, UINT64_MAX));
    if (!root) return unknown;
    const auto root_item = TRY(read_as<btrfs_root_item>(*root));
    const uint64_t logical = le64toh(root_item.bytenr);
    const auto found = TRY(
        last_item(dir, BTRFS_CHUNK_TREE_OBJECTID, BTRFS_FIRST_CHUNK_TREE_OBJECTID, BTRFS_CHUNK_ITEM_KEY, 0, logical));
    if (!found || root_item.level != 0) return unknown;
    const auto chunk = TRY(read_as<btrfs_chunk>(*found));
    const uint64_t inside = logical - found->offset;
    if (inside >= le64toh(chunk.length) || le16toh(chunk.num_stripes) != 1) return unknown;
    return le64toh(chunk.stripe.offset) + inside;
}

/// The range of a layer's files; none of the store's own, which are in range 0.
uint64_t range_of(const Store& store, const std::string& layer) {
    struct stat status {};
    if (fstatat(store.layers(), (layer + "/fs").c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) return 0;
    return status.st_ino >> kInodeRangeBits;
}

}  // namespace

Result<void> make_templates(int dir) {
    TRY(make_dirs_at(dir, kTemplates, 0700));
    const UniqueFd templates = TRY(open_at(dir, kTemplates, O_RDONLY | O_DIRECTORY));
    for (uint64_t range = 1; range <= kInodeRanges; ++range) {
        const std::string name = std::to_string(range);
        TRY(make_subvolume(templates.get(), name));
        if (fchmodat(templates.get(), name.c_str(), 0700, 0) != 0) return errno_error("closing a template to others");
        if (mkdirat(templates.get(), (name + "/work").c_str(), 0700) != 0) return errno_error("making a template");
    }
    if (syncfs(dir) != 0) return errno_error("syncing the templates");
    return {};
}

Result<std::vector<uint64_t>> find_templates(int dir) {
    std::vector<uint64_t> places;
    for (uint64_t range = 1; range <= kInodeRanges; ++range) {
        const UniqueFd subvolume = TRY(open_at(dir, template_of(range), O_RDONLY | O_DIRECTORY));
        places.push_back(TRY(place_of(dir, subvolume.get())));
    }
    return places;
}

Result<void> number_templates(int file, const std::vector<uint64_t>& places) {
    std::array<char, kNode> leaf{};
    uint64_t range = 0;
    for (const uint64_t place : places) {
        const auto at = static_cast<off_t>(place);
        if (pread(file, leaf.data(), leaf.size(), at) != static_cast<ssize_t>(leaf.size())) {
            return errno_error("reading a template");
        }
        renumber(leaf, ++range << kInodeRangeBits);
        if (pwrite(file, leaf.data(), leaf.size(), at) != static_cast<ssize_t>(leaf.size())) {
            return errno_error("writing a template");
        }
    }
    if (fsync(file) != 0) return errno_error("syncing the templates");
    return {};
}

Result<void> check_templates(int dir) {
    for (uint64_t range = 1; range <= kInodeRanges; ++range) {
        struct stat status {};
        const std::string work = template_of(range) + "/work";
        if (fstatat(dir, work.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) return errno_error("looking at " + work);
        if (status.st_ino != range << kInodeRangeBits) return errno_error("numbering " + work, EPROTO);
    }
    return {};
}

bool has_templates(int store_root) {
    return faccessat(store_root, kTemplates, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

std::set<uint64_t> ranges_of(const Store& store, const std::vector<std::string>& layers) {
    std::set<uint64_t> ranges;
    for (const std::string& layer : layers) ranges.insert(range_of(store, layer));
    return ranges;
}

Result<void> copy_template(const Store& store, uint64_t range, int dir, const std::string& name) {
    const UniqueFd from = TRY(open_at(store.root(), template_of(range), O_RDONLY | O_DIRECTORY));
    return snapshot_subvolume(from.get(), dir, name);
}

Result<void> make_from_template(const Store& store, const std::string& box_id, const std::vector<std::string>& layers) {
    const std::set<uint64_t> taken = ranges_of(store, layers);
    uint64_t range = 1;
    while (taken.contains(range)) ++range;
    if (range > kInodeRanges) return Error{ErrorKind::kLimit, 0, "a stack of too many layers"};
    return copy_template(store, range, store.uppers(), box_id);
}

}  // namespace hutch::overlayfs
