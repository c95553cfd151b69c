#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "base/result.h"
#include "overlayfs/store.h"

namespace hutch::overlayfs {

// btrfs numbers the files of every subvolume from 257 on, and an overlay hands the numbers of its layers out as they
// are: two files of a box would have one st_dev and st_ino, and programs would take them for one file (cp: "are the
// same file", rm -r: "circular directory structure"). So the uppers on a btrfs of ours are snapshots of templates, each
// with a number of its own at which those of its files begin.
//
//     layers that were imported, copied or flattened    one subvolume, the store's own: range 0
//     uppers, and the layers that they became           range 1 to kInodeRanges, no two of a stack the same

constexpr uint64_t kInodeRanges = 64;  // a stack has no more layers than that
constexpr unsigned kInodeRangeBits = 40;

/// Makes the templates on a fresh btrfs that is mounted at the directory `dir`, as far as that goes while it is
/// mounted: their numbers are still ordinary ones.
Result<void> make_templates(int dir);
/// Where the numbers of the templates stand on the disk (one disk, metadata `single`, node size 16 KiB, crc32c).
Result<std::vector<uint64_t>> find_templates(int dir);
/// Gives the templates their numbers: in the file with the file system, unmounted; `places` from find_templates().
Result<void> number_templates(int file, const std::vector<uint64_t>& places);
/// Whether all is as it should be; mounted again.
Result<void> check_templates(int dir);

/// Whether the store with this root has templates: only then may an upper be a subvolume.
bool has_templates(int store_root);
/// The ranges that files of these layers are in.
std::set<uint64_t> ranges_of(const Store& store, const std::vector<std::string>& layers);
/// Makes the subvolume `dir`/`name` from the template of a range. EEXIST if it is there.
Result<void> copy_template(const Store& store, uint64_t range, int dir, const std::string& name);
/// Makes the subvolume uppers/`box_id` from the template of a range that none of `layers` is in. EEXIST if it is there.
Result<void> make_from_template(const Store& store, const std::string& box_id, const std::vector<std::string>& layers);

}  // namespace hutch::overlayfs
