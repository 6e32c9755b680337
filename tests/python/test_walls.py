"""Who may include whom: the code keeps to the list, and what crosses a wall is told."""

import pathlib
import subprocess
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))
import walls  # noqa: E402


class Walls(unittest.TestCase):
    def test_the_code_keeps_to_the_list(self):
        if not (ROOT / ".git").exists():
            self.skipTest("not a checkout: the files are not listed")
        found = subprocess.run([sys.executable, ROOT / "scripts/walls.py", "--check"], capture_output=True, text=True)
        self.assertEqual((found.returncode, found.stdout, found.stderr), (0, "", ""))

    def test_an_arrow_up_is_a_fault(self):
        includes = {"engine/core/a.h": ["engine/image/b.h"], "engine/image/b.h": [], "kernels/cpu/c.h": ["engine/core/d.h"],
                    "engine/core/d.h": []}
        self.assertEqual(walls.faults(includes), ['engine/core/a.h: includes "engine/image/b.h", but core may not include image',
                                                  'kernels/cpu/c.h: includes "engine/core/d.h", but kernels may not include core'])

    def test_the_longest_path_says_the_room(self):
        self.assertEqual(walls.room_of("engine/backend/cpu/cpu_backend.h"), "cpu")
        self.assertEqual(walls.room_of("engine/backend/devices.cpp"), "devices")
        self.assertEqual(walls.room_of("engine/backend/device_status.h"), "seam")
        self.assertEqual(walls.room_of("engine/style/terms/term.h"), "terms")
        self.assertIsNone(walls.room_of("elsewhere/a.h"))

    def test_a_file_in_no_room_a_missing_one_and_a_circle_are_faults(self):
        includes = {"elsewhere/a.h": [], "engine/core/a.h": ["engine/core/b.h", "b.h"], "engine/core/b.h": ["engine/core/a.h"]}
        self.assertEqual(walls.faults(includes),
                         ["elsewhere/a.h: in no room",
                          'engine/core/a.h: includes "b.h", which is not a file from the repository\'s root',
                          "engine/core/a.h -> engine/core/b.h -> engine/core/a.h: includes in a circle"])

    def test_the_list_itself_has_no_circle_and_names_rooms_alone(self):
        self.assertEqual(walls.circles({room: others for room, others in walls.ARROWS.items() if others}), [])
        for room, others in walls.ARROWS.items():
            self.assertIn(room, walls.ROOMS)
            for other in others or []:
                self.assertIn(other, walls.ROOMS)


if __name__ == "__main__":
    unittest.main()
