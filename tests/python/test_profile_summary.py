"""Tests of profiling/: python3 -m unittest tests/python/test_profile_summary.py, in the repository's root.

The samples in tests/golden/profiling are written by hand in the columns that the profilers document.
"""
import csv
import io
import pathlib
import subprocess
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.append(str(ROOT))
from profiling import bytes_an_iteration, optimizers_table, roofline, summarise  # noqa: E402

GOLDEN = ROOT / "tests" / "golden" / "profiling"
CONV = "sm90_xmma_fprop_implicit_gemm_bf16bf16_bf16f32_f32_nhwckrsc_nhwc_tilesize128x128x64"
DOTS = "impasto::cuda::lbfgs_dots_kernel<(int)4>"
MASK = "impasto::cuda::mask_gradient_kernel<__nv_bfloat16,(bool)1>"


def golden(name):
    return (GOLDEN / name).read_text(encoding="utf-8")


def tool(name, *arguments):
    return subprocess.run([sys.executable, str(ROOT / "profiling" / name), *map(str, arguments)],
                          capture_output=True, text=True, check=False)


class KernelNames(unittest.TestCase):
    def test_result_and_parameters_are_dropped(self):
        self.assertEqual(summarise.kernel_name("void f<int, (int)3>(int *, T<char>)", False), "f<int,(int)3>")
        self.assertEqual(summarise.kernel_name("std::pair<int, int> ns::f(int)", False), "ns::f")

    def test_names_without_parameters_stay(self):
        self.assertEqual(summarise.kernel_name(CONV, False), CONV)

    def test_both_spellings_of_an_anonymous_namespace_are_one(self):
        a = summarise.kernel_name("void a::(anonymous namespace)::k<float>(float*, long)", False)
        b = summarise.kernel_name("void a::<unnamed>::k<float>(float *, long)", False)
        self.assertEqual(a, "a::k<float>")
        self.assertEqual(a, b)

    def test_base_drops_template_arguments(self):
        self.assertEqual(summarise.kernel_name("void a::k<b<int>, 3>(T1 *)", True), "a::k")


class Nsys(unittest.TestCase):
    def test_calls_and_times_after_lines_of_progress(self):
        kernels = summarise.read_nsys(golden("nsys_cuda_gpu_kern_sum.csv"), "file")
        self.assertEqual(len(kernels), 4)
        self.assertEqual(kernels[CONV], (2, 600000))
        self.assertEqual(kernels[DOTS], (1, 250000))
        self.assertEqual(kernels[MASK], (4, 100000))

    def test_base_adds_up_instances_of_a_template(self):
        kernels = summarise.read_nsys(golden("nsys_cuda_gpu_kern_sum.csv"), "file", base=True)
        self.assertEqual(kernels["impasto::cuda::mask_gradient_kernel"], (5, 150000))

    def test_another_unit_of_time(self):
        kernels = summarise.read_nsys("Total Time (us),Instances,Name\n1.5,2,k\n", "file")
        self.assertEqual(kernels, {"k": (2, 1500)})

    def test_a_file_without_the_table_is_refused(self):
        with self.assertRaisesRegex(summarise.Failure, "file: expected a table .* columns Instances, Name"):
            summarise.read_nsys("Time (%),Total Time (ns),Num Calls\n1,2,3\n", "file")


class Ncu(unittest.TestCase):
    def test_bytes_add_up_and_shares_are_weighted_with_time(self):
        kernel = summarise.read_ncu(golden("ncu_raw.csv"), "file")[CONV]
        self.assertEqual((kernel["calls"], kernel["ns"], kernel["bytes"]), (2, 1e6, 450e6))
        self.assertAlmostEqual(kernel["share"], 0.70 * 0.25 + 0.50 * 0.75)

    def test_the_greater_throughput_is_the_share(self):
        kernels = summarise.read_ncu(golden("ncu_raw.csv"), "file")
        self.assertAlmostEqual(kernels[DOTS]["share"], 0.80)
        self.assertAlmostEqual(kernels[MASK]["share"], 0.90)

    def test_units_are_read_from_the_second_row(self):
        kernels = summarise.read_ncu(golden("ncu_raw_units.csv"), "file")
        self.assertAlmostEqual(kernels["fill_kernel"]["ns"], 2000)
        self.assertAlmostEqual(kernels["fill_kernel"]["bytes"], 2e6)

    def test_metrics_that_were_not_collected_stay_empty(self):
        kernel = summarise.read_ncu(golden("ncu_raw_units.csv"), "file")["other_kernel"]
        self.assertEqual((kernel["bytes"], kernel["share"]), (None, None))

    def test_the_details_page_is_refused(self):
        with self.assertRaisesRegex(summarise.Failure, "expected a table with the columns"):
            summarise.read_ncu('"ID","Kernel Name","Metric Name","Metric Value"\n"0","k","m","1"\n', "file")


class Summary(unittest.TestCase):
    def test_with_both_times_are_of_nsys_and_bytes_of_ncu(self):
        rows = summarise.summarise(summarise.read_nsys(golden("nsys_cuda_gpu_kern_sum.csv"), "nsys"),
                                   summarise.read_ncu(golden("ncu_raw.csv"), "ncu"))
        self.assertEqual([row[0] for row in rows[:3]], [CONV, DOTS, MASK])
        name, calls, milliseconds, rate, _ = rows[0]
        self.assertEqual((name, calls, milliseconds), (CONV, 2, 0.6))
        self.assertAlmostEqual(rate, 450e6 / 600e3)  # bytes over nanoseconds
        self.assertAlmostEqual(rows[2][3], 4 * 30e6 / 100e3)  # ncu saw one of its four calls
        self.assertEqual(rows[3][3:], (None, None))  # ncu saw none

    def test_ncu_alone(self):
        rows = summarise.summarise({}, summarise.read_ncu(golden("ncu_raw.csv"), "ncu"))
        self.assertEqual([row[1] for row in rows], [2, 1, 1])
        self.assertAlmostEqual(rows[1][3], 500e6 / 400e3)

    def test_the_tool_prints_markdown_and_csv(self):
        both = ["--nsys", GOLDEN / "nsys_cuda_gpu_kern_sum.csv", "--ncu", GOLDEN / "ncu_raw.csv"]
        markdown = tool("summarise.py", *both)
        self.assertEqual(markdown.returncode, 0, markdown.stderr)
        self.assertIn(f"| {CONV} | 2 | 0.6000 | 750.0 | 0.550 |\n", markdown.stdout)
        self.assertTrue(markdown.stdout.endswith("| total | 8 | 1.0000 |  |  |\n"))
        rows = list(csv.reader(io.StringIO(tool("summarise.py", "--csv", *both).stdout)))
        self.assertEqual(rows[0], ["kernel", "calls", "ms", "GB/s", "share of roofline"])
        self.assertEqual(rows[2], [DOTS, "1", "0.2500", "2000.0", "0.800"])

    def test_the_tool_refuses_another_file_in_one_line(self):
        result = tool("summarise.py", "--ncu", GOLDEN / "nsys_cuda_gpu_kern_sum.csv")
        self.assertEqual(result.returncode, 1)
        self.assertEqual(result.stderr.count("\n"), 1)
        self.assertIn("expected a table with the columns ID, Kernel Name", result.stderr)


class Steps(unittest.TestCase):
    FILE = GOLDEN / "nsys_nvtx_kern_sum.csv"

    def test_kernels_of_a_range_add_up_and_its_domain_goes(self):
        steps = summarise.read_steps(golden("nsys_nvtx_kern_sum.csv"), "file")
        self.assertEqual(steps["conv3_3 backward"], (2, 300000))
        self.assertEqual(steps["losses relu1_1"], (2, 100000))

    def test_steps_stand_in_their_order_beside_their_floors_and_others_are_passed_over(self):
        floors = roofline.floors(1024, "bf16", roofline.GPUS["H100"])
        rows = summarise.against_floors(summarise.read_steps(golden("nsys_nvtx_kern_sum.csv"), "file"), floors, "file")
        self.assertEqual([row[0] for row in rows],
                         ["losses relu1_1", "conv1_2 forward", "conv3_3 backward", "lbfgs_dots"])
        name, kernels, ms, floor, ratio, share = rows[2]
        self.assertEqual((kernels, ms, share), (2, 0.3, 0.3))
        self.assertAlmostEqual(floor, 1e3 * sum(o.seconds(roofline.GPUS["H100"], "bf16")
                                                for o in roofline.iteration(1024, 768, "bf16")
                                                if o.name in ("conv3_3 backward", "conv3_3 mask")))
        self.assertAlmostEqual(ratio, ms / floor)

    def test_every_operation_has_the_name_of_a_range(self):
        for network in roofline.NETWORKS:
            for plain in (False, True):
                for o in roofline.iteration(512, 384, "fp16", network, plain):
                    self.assertRegex(o.step(), r"^(conv\d_\d|pool\d) (for|back)ward$|^loss(es| gradient) relu\d_\d$|"
                                     r"^(picture to input|input to picture|lbfgs_(push|dots|direction)|lincomb(_step)?|"
                                     r"halve(_transposed_add)?|dot|add_scaled|copy|lbfgs_(pair_dots|decide)|watch_gradients)$")

    def test_the_tool_prints_the_table_and_says_what_is_missing(self):
        result = tool("summarise.py", "--nvtx", self.FILE, "--size", 1024, "--gpu", "A100")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("| lbfgs_dots | 1 | 0.4000 | ", result.stdout)
        self.assertIn("| total | 6 | 1.0000 | ", result.stdout)
        self.assertIn("without a measured time: picture to input, conv1_1 forward", result.stderr)

    def test_the_tool_refuses_ranges_of_a_replay(self):
        result = tool("summarise.py", "--nvtx", "/dev/stdin")
        self.assertEqual(result.returncode, 1)
        with self.assertRaisesRegex(summarise.Failure, "found replay; use one_iteration --steps"):
            summarise.against_floors({"replay": (60, 1e6)}, roofline.floors(512, "bf16", roofline.GPUS["H100"]), "file")


class BytesAnIteration(unittest.TestCase):
    def test_the_page_holds_the_rows_that_the_tool_writes(self):
        page = (ROOT / "docs" / "gpu.md").read_text(encoding="utf-8")
        for method, precision in bytes_an_iteration.BEFORE:
            launches = roofline.launches(roofline.iteration(64, 48, precision, plain=method == "plain"))
            row = bytes_an_iteration.row(method, precision, launches, 1)
            self.assertIn(f"| {' | '.join(row)} |\n", page)

    def test_launches_that_are_not_listed_are_refused(self):
        bytes_an_iteration.require_same("default", "fp16", (11, 11, 5, 58))
        with self.assertRaisesRegex(bytes_an_iteration.Failure, r"default fp16: expected .*\(11, 11, 5, 58\).*found .*59"):
            bytes_an_iteration.require_same("default", "fp16", (11, 11, 5, 59))

    def test_a_build_without_the_program_is_one_line(self):
        result = tool("bytes_an_iteration.py", "--build", "/nowhere")
        self.assertEqual(result.returncode, 1)
        self.assertRegex(result.stderr, r"^bytes_an_iteration: .*/nowhere/bin/impasto-paint.*\n$")


class Roofline(unittest.TestCase):
    def test_tiles_and_waves_are_rounded_up(self):
        gpu = roofline.Gpu({"bf16": 1e12}, 1e12, 10)
        full = roofline.Operation("", 0, 0, product=(1280, 128, 9, 1))
        self.assertEqual(full.computed(gpu), 2 * 1280 * 128 * 9)
        self.assertEqual(roofline.Operation("", 0, 0, product=(1281, 128, 9, 1)).computed(gpu), 2 * full.computed(gpu))
        self.assertEqual(roofline.Operation("", 0, 0, product=(1280, 8, 9, 1)).computed(gpu), 2 * 1280 * 32 * 9)
        self.assertEqual(roofline.Operation("", 0, 0, product=(64, 64, 9, 3)).computed(gpu), 2 * 1280 * 64 * 9)

    def test_networks_and_methods_differ_where_they_should(self):
        names = {o.name for o in roofline.iteration(512, 384, "bf16")}
        self.assertNotIn("conv3_4 forward", names)
        self.assertIn("pyramid up", names)
        plain = {o.name: o for o in roofline.iteration(512, 384, "bf16", "vgg19", True)}
        self.assertIn("conv3_4 forward", plain)
        self.assertNotIn("pyramid up", plain)
        self.assertEqual(plain["L-BFGS inner products"].bytes, 4 * 23 * 3 * 512 * 384)

    def test_launches_are_counted_by_kind(self):
        for precision, products, others in (("bf16", 5, 26), ("fp16", 5, 27), ("tf32", 10, 26)):
            operations = roofline.iteration(512, 384, precision, plain=True)
            self.assertEqual(roofline.launches(operations), (11, 11, products, others))
        gpu = roofline.Gpu({"fp64": 1e12}, 1e12, 10)
        several = roofline.Operation("", 0, 0, "fp64", launches=3)
        self.assertAlmostEqual(several.seconds(gpu, "bf16"), 3 * roofline.LAUNCH_SECONDS)

    def test_flops_of_a_convolution(self):
        operations = {o.name: o for o in roofline.iteration(512, 384, "fp32")}
        self.assertEqual(operations["conv3_2 forward"].flops, 18 * 128 * 96 * 256 * 256)
        self.assertEqual(operations["conv3_2 forward"].bytes, 4 * (2 * 128 * 96 * 256 + 9 * 256 * 256))

    def test_sides_are_halved_and_rounded_down(self):
        operations = {o.name: o for o in roofline.iteration(33, 35, "bf16")}
        self.assertEqual(operations["conv5_1 forward"].flops, 18 * 2 * 2 * 512 * 512)

    def test_taps_add_to_what_lies_there_and_mask_it(self):
        operations = {o.name: o for o in roofline.iteration(64, 64, "bf16")}
        added, last = operations["relu3_1 Gram gradient"], operations["relu5_1 Gram gradient"]
        self.assertEqual(added.bytes, 2 * (3 * 16 * 16 * 256 + 256 * 256))
        self.assertEqual(last.bytes, 2 * (2 * 4 * 4 * 512 + 512 * 512))  # nothing lies there
        self.assertIn("conv3_3 mask", operations)
        self.assertNotIn("conv3_1 mask", operations)  # the pool's backward masks
        self.assertNotIn("conv3_2 mask", operations)  # the tap's gradient masks
        self.assertIn("relu3_1 mask", {o.name for o in roofline.iteration(64, 64, "fp32")})  # cuBLAS does not

    def test_a_gpu_without_a_precision_has_no_time(self):
        self.assertIsNone(roofline.seconds(512, 384, "bf16", roofline.GPUS["T4"]))
        self.assertGreater(roofline.seconds(512, 384, "fp16", roofline.GPUS["T4"]), 0)

    def test_no_operation_is_faster_than_either_peak(self):
        gpu = roofline.GPUS["H100"]
        for operation in roofline.iteration(1024, 768, "bf16"):
            time = operation.seconds(gpu, "bf16")
            self.assertGreaterEqual(time * gpu.bandwidth, operation.bytes, operation.name)

    def test_the_page_holds_the_table_that_the_tool_writes(self):
        result = tool("roofline.py")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn(result.stdout, (ROOT / "docs" / "roofline.md").read_text(encoding="utf-8"))


class OptimizersTable(unittest.TestCase):
    def test_a_cell_is_the_lowest_share_of_the_first_loss_that_is_left(self):
        self.assertEqual(optimizers_table.cell([8.0, 2.0, 4.0], 3), ("0.25", 0.25))

    def test_a_render_that_ended_early_or_was_not_finite_is_beyond_every_bound(self):
        for values in ([], [8.0, 2.0], [8.0, 2.0, float("inf")]):
            self.assertEqual(optimizers_table.cell(values, 3)[1], float("inf"))
        self.assertEqual(optimizers_table.cell([8.0, 2.0], 3)[0], "at 2")

    def test_a_trace_that_is_missing_has_no_losses(self):
        self.assertEqual(optimizers_table.losses("/nowhere/trace"), [])


if __name__ == "__main__":
    unittest.main()
