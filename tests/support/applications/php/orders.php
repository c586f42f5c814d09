<?php
declare(strict_types=1);

final class Order
{
    public function __construct(public int $number, public string $name, public float $sum)
    {
    }
}

final class Orders
{
    public function __construct(private int $count)
    {
    }

    /** @return list<Order> */
    public function all(): array
    {
        $orders = array_map(fn (int $number) => new Order($number, "order $number", $number * 1.19), range(1, $this->count));
        usort($orders, fn (Order $left, Order $right) => $right->number <=> $left->number);
        return $orders;
    }
}
