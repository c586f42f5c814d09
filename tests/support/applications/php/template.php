<!doctype html>
<title>Orders</title>
<table>
<?php foreach ($orders as $order): ?>
<tr><td><?= $order->number ?></td><td><?= htmlspecialchars(ucfirst($order->name)) ?></td>
<td><?= number_format($order->sum, 2) ?></td></tr>
<?php endforeach ?>
</table>
